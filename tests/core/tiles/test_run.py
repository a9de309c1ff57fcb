"""The tiles of a scene through an endpoint in memory: blending, failures, and what is paid again."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from core.batch.client import UnwritableError
from core.errors import CredentialsError, InputError, ModelError, ThrottledError
from core.imaging.classes import Classes
from core.inference.gate import CallGate
from core.tiles.area import read_area
from core.tiles.blend import Strip
from core.tiles.plan import TilePlan, encode_tile, make_plan
from core.tiles.run import AHEAD, SPARE, TileOutcome, TileTask, run_tiles
from core.tiles.scene import SceneReader, open_scene
from core.tiles.store import TileStore
from tests.support.scenes import blobs, write_scene
from tests.support.tile_endpoint import CENTERS, TileEndpoint

HEIGHT, WIDTH, TILE, OVERLAP = 500, 600, 256, 64
NAMES = Classes(("a", "b", "c", "d"), ((0, 0, 0),) * 4)


@pytest.fixture(scope="module")
def scene_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scene(tmp_path_factory.mktemp("scene") / "scene.tif", blobs(HEIGHT, WIDTH))


class Joined:
    """What a run wrote: the strips in order, as whole arrays."""

    def __init__(self) -> None:
        self.strips: list[Strip] = []

    def __call__(self, strip: Strip) -> None:
        assert strip.top == sum(len(each.labels) for each in self.strips)
        self.strips.append(strip)

    @property
    def labels(self) -> np.ndarray:
        return np.concatenate([strip.labels for strip in self.strips])

    @property
    def confidence(self) -> np.ndarray:
        return np.concatenate([strip.confidence for strip in self.strips if strip.confidence is not None])


class Run:
    """One run over a scene. folder: of the finished tiles."""

    def __init__(
        self,
        path: Path,
        folder: Path,
        endpoint: Any,
        *,
        k: int = 3,
        area: str = "",
        sink: Callable[[Strip], None] | None = None,
        pauses: tuple[float, ...] = (0.0,) * 3,
        **options: Any,
    ) -> None:
        self.outcome, self.joined = TileOutcome(), Joined()
        self.gate = CallGate(k, pauses)
        with SceneReader(open_scene(path)) as reader:
            zone = read_area(area, reader.scene) if area else None
            self.plan: TilePlan = make_plan(reader, tile=(TILE, TILE), overlap=OVERLAP, area=zone, **options)
            self.store = TileStore(folder, {"endpoint": "e"})
            task = TileTask(self.plan, reader, self.store, "e", NAMES, endpoint, self.gate, zone)
            with self.store.turn():
                run_tiles(task, k, self.outcome, sink or self.joined, lambda: None)

    @property
    def failed(self) -> list[tuple[int, int]]:
        return [(tile.row, tile.column) for tile, _ in self.outcome.failed]


def responses(path: Path, plan: TilePlan, endpoint: TileEndpoint) -> dict[tuple[int, int], np.ndarray]:
    """Return the probabilities that the endpoint returned for each tile."""
    with SceneReader(open_scene(path)) as reader:
        return {
            (tile.row, tile.column): endpoint.answers[
                encode_tile(reader.read(tile.y.start, tile.x.start, TILE, TILE).colors).body
            ]
            for tile in plan.tiles()
        }


def blended(plan: TilePlan, planes: dict[tuple[int, int], np.ndarray], blend: int) -> np.ndarray:
    """Return (C, H, W) float64: the tiles with weights of a cosine over `blend` pixels about each cut, divided by
    their sum. Computed on the whole image, without the project's blending."""

    def ramp(starts: tuple[int, ...], number: int, length: int) -> np.ndarray:
        places = np.arange(TILE) + starts[number] + 0.5
        weight = np.ones(TILE)
        for first, second in pairwise(starts):
            cut = (first + TILE + second) // 2
            rising = np.clip((places - cut) / blend + 0.5, 0, 1) if blend else (places > cut).astype(float)
            rising = 0.5 - 0.5 * np.cos(np.pi * rising)
            if second == starts[number]:
                weight *= rising
            if first == starts[number]:
                weight *= 1 - rising
        return weight[: length - starts[number]]

    total, weights = np.zeros((len(CENTERS), HEIGHT, WIDTH)), np.zeros((HEIGHT, WIDTH))
    for (row, column), values in planes.items():
        top, left = plan.rows.starts[row], plan.columns.starts[column]
        weight = ramp(plan.rows.starts, row, HEIGHT)[:, None] * ramp(plan.columns.starts, column, WIDTH)
        height, width = weight.shape
        total[:, top : top + height, left : left + width] += values[:, :height, :width] * weight
        weights[top : top + height, left : left + width] += weight
    return total / weights


def jumps(labels: np.ndarray, columns: list[int]) -> float:
    """Return how often neighbors across these column borders have different labels."""
    return float(np.mean([labels[:, column - 1] != labels[:, column] for column in columns]))


def test_tiles_are_blended_as_by_an_independent_computation(scene_path: Path, tmp_path: Path) -> None:
    """Labels and confidence are those of cosine weights over the whole image; where one tile decides, exactly its."""
    endpoint = TileEndpoint()
    run = Run(scene_path, tmp_path, endpoint)
    planes = responses(scene_path, run.plan, endpoint)
    wanted = blended(run.plan, planes, OVERLAP)
    best = np.sort(wanted, axis=0)
    close = best[-1] - best[-2] < 1e-4
    labels = run.joined.labels
    assert labels.shape == (HEIGHT, WIDTH)
    assert ((labels == wanted.argmax(0)) | close).all()
    assert close.mean() < 1e-3
    assert np.abs(run.joined.confidence - 100 * wanted.max(0)).max() < 0.51
    for tile in run.plan.tiles():
        own = slice(tile.y.own, tile.y.end), slice(tile.x.own, tile.x.end)
        inner = (
            slice(tile.y.own - tile.y.start, tile.y.end - tile.y.start),
            slice(tile.x.own - tile.x.start, tile.x.end - tile.x.start),
        )
        assert np.array_equal(labels[own], planes[tile.row, tile.column].argmax(0)[inner])


def test_seams_do_not_show(scene_path: Path, tmp_path: Path) -> None:
    """Near the cuts, labels differ from the whole image's answer no more often than elsewhere; hard tiles do."""
    endpoint = TileEndpoint()
    run = Run(scene_path, tmp_path, endpoint)
    with SceneReader(open_scene(scene_path)) as reader:
        whole = reader.read(0, 0, HEIGHT, WIDTH).colors
    answer = TileEndpoint()
    body = encode_tile(whole).body
    answer(body, "image/jpeg", "")
    truth = answer.answers[body].argmax(0)
    cuts = [first for first, _ in run.plan.columns.zones]
    cuts = [cut + OVERLAP // 2 for cut in cuts]
    hard = np.empty_like(truth)
    for left in (0, 200, 400):
        part = whole[:, left : left + 200]
        answer(encode_tile(part).body, "image/jpeg", "")
        hard[:, left : left + 200] = answer.answers[encode_tile(part).body].argmax(0)
    assert jumps(run.joined.labels, cuts) <= jumps(truth, cuts) + 0.005

    def near_and_far(labels: np.ndarray, columns: list[int]) -> tuple[float, float]:
        near = np.zeros(WIDTH, bool)
        for column in columns:
            near[column - 8 : column + 8] = True
        differs = labels != truth
        return float(differs[:, near].mean()), float(differs[:, ~near].mean())

    near, far = near_and_far(run.joined.labels, cuts)
    assert near <= far + 0.002
    hard_near, hard_far = near_and_far(hard, [200, 400])
    assert hard_near > 5 * hard_far


def test_labels_alone_are_divided_in_the_middle(scene_path: Path, tmp_path: Path) -> None:
    """Responses of labels only give each pixel the label of the tile whose center is nearer, and no confidence."""
    endpoint = TileEndpoint()
    run = Run(scene_path, tmp_path, endpoint, want="mask")
    planes = responses(scene_path, run.plan, endpoint)
    for tile in run.plan.tiles():
        answer = planes[tile.row, tile.column].argmax(0)
        part = answer[
            tile.y.own - tile.y.start : tile.y.end - tile.y.start,
            tile.x.own - tile.x.start : tile.x.end - tile.x.start,
        ]
        assert np.array_equal(run.joined.labels[tile.y.own : tile.y.end, tile.x.own : tile.x.end], part)
    assert all(strip.confidence is None for strip in run.joined.strips)
    assert run.outcome.classes == 0


def test_the_number_of_requests_at_once_does_not_change_the_result(scene_path: Path, tmp_path: Path) -> None:
    """One request at a time, and many, give the same labels and confidence."""
    runs = [Run(scene_path, tmp_path / str(k), TileEndpoint(), k=k) for k in (1, 8)]
    first, second = (run.joined for run in runs)
    assert np.array_equal(first.labels, second.labels)
    assert np.array_equal(first.confidence, second.confidence)


def test_pixels_without_data_get_no_label(tmp_path: Path) -> None:
    """Outside the data and outside the area, labels and confidence are 255; tiles without data are not sent."""
    values = np.maximum(blobs(HEIGHT, WIDTH), 1)
    values[:, :100, :50] = 0
    values[:, :, 380:] = 0
    path = write_scene(tmp_path / "scene.tif", values, nodata=0)
    endpoint = TileEndpoint()
    run = Run(path, tmp_path / "tiles", endpoint, want="mask", area="500000,5299600,502000,5300000")
    inside = np.zeros((HEIGHT, WIDTH), bool)
    inside[:200, :380] = True
    inside[:100, :50] = False
    assert np.array_equal(run.joined.labels != 255, inside)
    assert endpoint.calls == run.plan.requests == 4
    mixed = Run(path, tmp_path / "tiles", endpoint, area="500000,5299600,502000,5300000")
    assert np.array_equal(mixed.joined.labels != 255, inside)
    assert np.array_equal(mixed.joined.confidence != 255, inside)


def test_a_failed_tile_leaves_no_data_and_is_sent_again_later(scene_path: Path, tmp_path: Path) -> None:
    """A tile that fails is listed and leaves a hole outside its zones; the next run sends it alone."""

    def fail(number: int) -> None:
        if number == 5:
            raise ModelError("It failed.", status=500)

    whole = Run(scene_path, tmp_path / "other", TileEndpoint(), k=1)
    broken = Run(scene_path, tmp_path / "tiles", TileEndpoint(fail), k=1)
    assert broken.outcome.whole
    ((row, column),) = broken.failed
    (tile,) = [each for each in broken.plan.tiles() if (each.row, each.column) == (row, column)]
    hole = np.zeros((HEIGHT, WIDTH), bool)
    hole[tile.y.own : tile.y.end, tile.x.own : tile.x.end] = True
    assert np.array_equal(broken.joined.labels == 255, hole)
    assert np.array_equal(broken.joined.confidence == 255, hole)
    assert broken.joined.confidence[~hole].max() <= 100
    again = TileEndpoint()
    resumed = Run(scene_path, tmp_path / "tiles", again, k=4)
    assert (again.calls, resumed.outcome.sent, resumed.outcome.kept) == (1, 1, 8)
    assert np.array_equal(resumed.joined.labels, whole.joined.labels)
    assert np.array_equal(resumed.joined.confidence, whole.joined.confidence)


def test_an_interrupted_run_pays_no_tile_twice(scene_path: Path, tmp_path: Path) -> None:
    """After Ctrl-C the tiles in progress are kept; the next run sends exactly the others, with the same result."""
    whole = Run(scene_path, tmp_path / "other", TileEndpoint())

    def interrupt(strip: Strip) -> None:
        raise KeyboardInterrupt

    first = TileEndpoint()
    stopped = Run(scene_path, tmp_path / "tiles", first, k=1, sink=interrupt)
    assert stopped.outcome.stopped
    assert not stopped.outcome.whole
    assert 3 <= first.calls <= 9  # threads may be ahead of the first strip, whose tiles come in any order
    second = TileEndpoint()
    resumed = Run(scene_path, tmp_path / "tiles", second)
    assert second.calls == resumed.outcome.sent == 9 - first.calls
    assert np.array_equal(resumed.joined.labels, whole.joined.labels)


def test_a_map_without_its_last_strip_is_not_whole(scene_path: Path, tmp_path: Path) -> None:
    """Ctrl-C after the last tile, while its strip is written, leaves no whole map, and all tiles are kept."""
    strips: list[Strip] = []

    def interrupt(strip: Strip) -> None:
        strips.append(strip)
        if len(strips) == 3:
            raise KeyboardInterrupt

    stopped = Run(scene_path, tmp_path, TileEndpoint(), sink=interrupt)
    assert (stopped.outcome.sent, stopped.outcome.not_attempted) == (9, 0)
    assert not stopped.outcome.whole
    again = TileEndpoint()
    assert Run(scene_path, tmp_path, again).outcome.whole
    assert again.calls == 0


def test_a_damaged_tile_is_sent_again(scene_path: Path, tmp_path: Path) -> None:
    """A stored tile that is truncated, or has a changed byte, is reported and sent again."""
    Run(scene_path, tmp_path, TileEndpoint())
    truncated, changed = sorted(tmp_path.glob("*.tile"))[:2]
    truncated.write_bytes(truncated.read_bytes()[:-100])
    content = bytearray(changed.read_bytes())
    content[len(content) // 2] ^= 1
    changed.write_bytes(content)
    again = TileEndpoint()
    run = Run(scene_path, tmp_path, again)
    assert again.calls == len(run.store.damaged) == 2
    assert {line.partition(":")[0] for line in run.store.damaged} == {truncated.name, changed.name}


def test_a_changed_scene_or_endpoint_is_sent(scene_path: Path, tmp_path: Path) -> None:
    """Stored tiles belong to the bytes that were sent and to the request: others are not used."""
    Run(scene_path, tmp_path / "tiles", TileEndpoint())
    values = blobs(HEIGHT, WIDTH)
    values[:, :20, :20] = 255
    changed = write_scene(tmp_path / "changed.tif", values)
    endpoint = TileEndpoint()
    run = Run(changed, tmp_path / "tiles", endpoint)
    assert (endpoint.calls, run.outcome.kept) == (1, 8)
    with SceneReader(open_scene(scene_path)) as reader:
        tile = next(iter(run.plan.tiles()))
        body = encode_tile(reader.read(0, 0, TILE, TILE).colors).body
    keys = {TileStore(tmp_path, {"endpoint": name}).key(body, tile) for name in ("e", "f")}
    assert len(keys) == 2


def test_throttled_calls_are_repeated(scene_path: Path, tmp_path: Path) -> None:
    """A throttled call is repeated with fewer requests at once, and no tile fails."""

    def throttle(number: int) -> None:
        if number in (2, 3):
            raise ThrottledError("Too many.", code="ThrottlingException")

    run = Run(scene_path, tmp_path, TileEndpoint(throttle), k=4)
    assert (run.outcome.sent, run.failed) == (9, [])
    assert run.gate.throttled == 2
    assert run.gate.lowest < 4


def test_a_fault_of_all_tiles_stops_the_run(tmp_path: Path) -> None:
    """After 10 consecutive failures of AWS, or of any kind before the first result, no more tiles are sent."""
    path = write_scene(tmp_path / "scene.tif", blobs(1200, 1200))

    def expired(number: int) -> None:
        raise CredentialsError("Expired.")

    run = Run(path, tmp_path / "tiles", TileEndpoint(expired))
    assert isinstance(run.outcome.fault, CredentialsError)
    assert len(run.failed) + run.outcome.not_attempted == run.plan.requests == 36
    assert run.outcome.not_attempted > 15

    def rejected(number: int) -> None:
        raise ModelError("No.", status=500)

    bad = Run(path, tmp_path / "tiles", TileEndpoint(rejected))
    assert isinstance(bad.outcome.fault, ModelError)
    assert not bad.outcome.whole

    def rejected_later(number: int) -> None:
        if number > 1:
            raise ModelError("No.", status=500)

    later = Run(path, tmp_path / "tiles", TileEndpoint(rejected_later), k=1)
    assert (len(later.failed), later.outcome.fault, later.outcome.whole) == (35, None, True)


def test_a_response_with_another_number_of_classes_is_a_failure(scene_path: Path, tmp_path: Path) -> None:
    """A tile whose response has fewer classes than those before it fails with both numbers, and can be sent again."""
    endpoint = TileEndpoint(
        classes=lambda number: 3 if number == 8 else 4
    )  # never the first tile: six are ahead
    run = Run(scene_path, tmp_path, endpoint, k=1)
    assert len(run.failed) == 1
    assert "has 3 classes, those of other tiles have 4" in str(run.outcome.failed[0][1])
    assert run.outcome.classes == 4
    again = TileEndpoint()
    assert not Run(scene_path, tmp_path, again).failed
    assert again.calls == 1


def test_few_tiles_are_in_progress(scene_path: Path, tmp_path: Path) -> None:
    """While one tile is slow, only some tiles are read ahead, and no more requests than allowed are under way."""
    running, most = [0], [0]
    endpoint = TileEndpoint()

    def counted(*arguments: Any) -> Any:
        with endpoint.lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        try:
            return endpoint(*arguments)
        finally:
            with endpoint.lock:
                running[0] -= 1

    joined: list[int] = []
    path = write_scene(tmp_path / "scene.tif", blobs(1200, 1200))
    Run(path, tmp_path / "tiles", counted, k=2, sink=lambda strip: joined.append(endpoint.calls))
    assert most[0] <= 2
    assert joined[0] <= 6 + AHEAD * (2 + SPARE)
    assert endpoint.calls == 36


def test_a_tile_that_cannot_be_read_fails_alone(tmp_path: Path) -> None:
    """A block of the file that is damaged fails the tiles that need it; the error names the file."""
    path = write_scene(tmp_path / "scene.tif", blobs(1200, 1200))
    with rasterio.open(path) as file:
        place = int(file.get_tag_item("BLOCK_OFFSET_5_0", "TIFF", bidx=1))
    content = bytearray(path.read_bytes())
    content[place : place + 200] = bytes(200)
    path.write_bytes(content)
    run = Run(path, tmp_path / "tiles", TileEndpoint())
    assert run.failed == [(0, 3), (0, 4)]
    assert all("scene.tif cannot be read" in str(error) for _, error in run.outcome.failed)


def test_a_small_image_is_the_endpoints_own_answer(tmp_path: Path) -> None:
    """An image of one tile gets exactly the labels of one call."""
    path = write_scene(tmp_path / "scene.tif", blobs(120, 200))
    endpoint = TileEndpoint()
    run = Run(path, tmp_path / "tiles", endpoint)
    (planes,) = endpoint.answers.values()
    assert np.array_equal(run.joined.labels, planes.argmax(0))


def test_a_folder_that_vanishes_stops_the_run(tmp_path: Path) -> None:
    """Once finished tiles cannot be stored, no more are sent: each is billed."""
    path = write_scene(tmp_path / "scene.tif", blobs(1200, 1200))
    folder = tmp_path / "tiles"
    endpoint = TileEndpoint(lambda number: shutil.rmtree(folder) if number == 1 else None)
    run = Run(path, folder, endpoint)
    assert isinstance(run.outcome.fault, UnwritableError)
    assert f"Finished tiles cannot be written to {folder}." in str(run.outcome.fault)
    assert run.outcome.not_attempted > 15


def test_one_process_at_a_time(scene_path: Path, tmp_path: Path) -> None:
    """While a run holds the folder of its tiles, another one there is an error."""
    store = TileStore(tmp_path / "tiles", {})
    with store.turn(), pytest.raises(InputError, match="Another process is segmenting"):
        Run(scene_path, tmp_path / "tiles", TileEndpoint())
    assert not store.folder.exists()
