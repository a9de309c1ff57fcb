"""Running an evaluation and its results, with a function as the endpoint."""

from __future__ import annotations

import io
import json
import os
import stat
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.datasets.names import read_names
from core.errors import ImageError, InputError, ThrottledError
from core.evaluation.pairs import LabeledImage, names_in_list, pair_up, pairs_in, read_list, reader
from core.evaluation.results import Evaluation, confused_images, resolve_classes, score_outcomes
from core.evaluation.run import EvaluatedEndpoint, EvaluationTask, ImageOutcome, evaluate, key_of
from core.evaluation.store import LINES, PredictionStore
from core.imaging.classes import Classes
from core.inference.invoke import EndpointResponse

CLASSES = Classes(("sea", "land"), ((0, 0, 255), (0, 170, 0)))
TRUTH = np.array([[0, 0, 1, 1], [0, 0, 1, 255]], np.uint8)


def png(ids: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.asarray(ids, np.uint8)).save(file, "PNG")
    return file.getvalue()


def jpeg(shade: int, width: int = 4, height: int = 2) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, height), (shade, shade, 200)).save(file, "JPEG")
    return file.getvalue()


def pair(name: str, shade: int, truth: np.ndarray = TRUTH) -> LabeledImage:
    return LabeledImage(name, f"{name}.jpg", f"{name}.png", lambda: jpeg(shade), lambda: png(truth))


class Model:
    """An endpoint that always returns the same response and counts its calls. refuse: at which shades it fails."""

    def __init__(self, answer: np.ndarray, refuse: Callable[[int], bool] = lambda shade: False) -> None:
        self.answer, self.refuse, self.calls = png(answer), refuse, 0
        self.lock = threading.Lock()

    def __call__(self, body: bytes, content_type: str, accept: str) -> EndpointResponse:
        with self.lock:
            self.calls += 1
        shade = Image.open(io.BytesIO(body)).getpixel((0, 0))[0]
        if self.refuse(shade):
            raise ThrottledError("Could not ask: too many calls.")
        return EndpointResponse(self.answer, "image/png", 0.5)


def asked(model: Model, name: str = "coast", config: str = "one") -> EvaluatedEndpoint:
    return EvaluatedEndpoint(name, config, "s3://models/coast/model.tar.gz", CLASSES, model)


def ran(pairs: list[LabeledImage], endpoints: list[EvaluatedEndpoint], folder: Path) -> list[ImageOutcome]:
    return list(evaluate(EvaluationTask(pairs, endpoints, CLASSES), PredictionStore(folder)))


def verdict_on(pairs: list[LabeledImage], endpoints: list[EvaluatedEndpoint], folder: Path) -> Evaluation:
    task = EvaluationTask(pairs, endpoints, CLASSES)
    return score_outcomes(evaluate(task, PredictionStore(folder)), task)


def test_dataset_is_evaluated(tmp_path):
    """Each image's pixels are counted, the worst image is first, and there are cumulative and per-image scores."""
    other = np.zeros((2, 4), np.uint8)
    pairs = [pair("a", 10), pair("b", 20, other)]
    answer = np.array([[0, 0, 1, 1], [0, 0, 0, 0]])
    one = asked(Model(answer))
    found = verdict_on(pairs, [one], tmp_path).endpoints[0]
    assert found.total.counts.tolist() == [[4 + 6, 2], [1, 2]]
    assert found.total.ignored == 1
    assert [image.score.name for image in found.images] == ["b", "a"]
    assert found.scores.iou.tolist() == pytest.approx([10 / 13, 2 / 5])
    assert found.per_image.mean_iou == pytest.approx(((4 / 5 + 2 / 3) / 2 + (6 / 8 + 0) / 2) / 2)
    assert list(found.measures)[:2] == ["mean_iou", "image_mean_iou"]


def test_calibration_needs_probabilities(tmp_path):
    """Calibration of an endpoint that returns labels only fails with the reason; nothing is cached."""
    task = EvaluationTask([pair("a", 10)], [asked(Model(TRUTH))], CLASSES, calibrate=True)
    (outcome,) = evaluate(task, PredictionStore(tmp_path))
    assert "labels only, without a confidence" in str(outcome.failures[0].error)
    assert len(PredictionStore(tmp_path)) == 0


def test_cached_prediction_without_contours_gets_them(tmp_path):
    """A prediction cached by an earlier version gets its contours counted from its mask, without a call."""
    model = Model(TRUTH.clip(0, 1))
    (first,) = ran([pair("a", 10)], [asked(model)], tmp_path)
    lines = (tmp_path / LINES).read_text().splitlines()
    row = json.loads(lines[1])
    del row["contours"]
    (tmp_path / LINES).write_text("\n".join((lines[0], json.dumps(row))) + "\n")
    assert PredictionStore(tmp_path).get(row["key"]).contours is None
    (second,) = ran([pair("a", 10)], [asked(model)], tmp_path)
    assert second.scores == first.scores
    assert first.scores[0].contours
    assert (model.calls, second.calls) == (1, 0)
    assert PredictionStore(tmp_path).get(row["key"]) == first.scores[0]


def test_second_run_uses_the_cache(tmp_path):
    """A cached prediction is neither invoked nor billed again, even if the file is renamed."""
    model = Model(TRUTH)
    first = ran([pair("a", 10), pair("b", 20)], [asked(model)], tmp_path)
    second = ran([pair("renamed", 10), pair("b", 20)], [asked(model)], tmp_path)
    assert model.calls == 2
    assert [outcome.calls for outcome in first + second] == [1, 1, 0, 0]
    assert {one.name for outcome in second for one in outcome.scores} == {"renamed", "b"}


@pytest.mark.parametrize(
    "change",
    [
        lambda one: replace(one, config="two"),
        lambda one: replace(one, name="other"),
        lambda one: replace(one, origin="eu-west-1"),
        lambda one: replace(one, model_uri="s3://models/new/model.tar.gz"),
    ],
)
def test_another_model_is_not_cached(tmp_path, change):
    """After an update of the endpoint, the same image is sent again."""
    model = Model(TRUTH)
    ran([pair("a", 10)], [asked(model)], tmp_path)
    ran([pair("a", 10)], [change(asked(model))], tmp_path)
    assert model.calls == 2


def test_another_ground_truth_or_size_is_not_cached():
    """A changed mask or input size has another cache key."""
    one = asked(Model(TRUTH))
    keys = {key_of(b"photo", TRUTH, one, (800, 600)), key_of(b"photo", TRUTH, one, None)}
    keys |= {key_of(b"photo", 1 - TRUTH % 2, one, None), key_of(b"other", TRUTH, one, None)}
    assert len(keys) == 4


def test_one_failure_stops_nothing(tmp_path):
    """A failed image is reported with its reason, the others are evaluated, and the next run sends only that one."""
    model = Model(TRUTH, refuse=lambda shade: shade < 15)
    pairs = [pair("a", 10), pair("b", 20), replace(pair("c", 30), read_image=lambda: b"no picture")]
    done = ran(pairs, [asked(model)], tmp_path)
    found = score_outcomes(done, EvaluationTask(pairs, [asked(model)], CLASSES))
    assert found.image_count == 1
    told = {failure.name: failure for failure in found.failures}
    assert isinstance(told["a"].error, ThrottledError)
    assert isinstance(told["c"].error, ImageError)
    assert told["a"].endpoint == "coast"
    assert not told["c"].endpoint
    healthy = Model(TRUTH)
    ran(pairs[:2], [asked(healthy)], tmp_path)
    assert healthy.calls == 1


def test_mask_of_another_size_is_refused_before_invoking(tmp_path):
    """A mask of another size than its image is refused before the endpoint is invoked."""
    model = Model(TRUTH)
    (outcome,) = ran([pair("a", 10, TRUTH[:, :3])], [asked(model)], tmp_path)
    assert "a.png is 3 x 2 pixels, but its image a.jpg is 4 x 2." in str(outcome.failures[0].error)
    assert model.calls == 0


def test_ground_truth_of_the_stored_image_is_rotated(tmp_path):
    """A mask drawn on an image as stored, with an EXIF orientation, is compared with the upright prediction."""
    exif = Image.Exif()
    exif[0x0112] = 6  # its left side is the top of the upright image
    file = io.BytesIO()
    Image.new("RGB", (2, 4), (10, 10, 200)).save(file, "JPEG", exif=exif)
    turned = replace(pair("a", 10, np.rot90(TRUTH)), read_image=file.getvalue)
    found = verdict_on([turned], [asked(Model(TRUTH.clip(0, 1)))], tmp_path).endpoints[0]
    assert found.scores.pixel_accuracy == 1


def test_ground_truth_beyond_the_classes_is_refused_before_invoking(tmp_path):
    """A mask with a class beyond the model's is refused with both numbers, and is not billed."""
    model = Model(TRUTH)
    (outcome,) = ran([pair("a", 10, TRUTH.clip(0, 250))], [asked(model)], tmp_path)
    assert "contains class 250; there are 2 classes" in str(outcome.failures[0].error)
    assert model.calls == 0


def test_unreadable_file(tmp_path):
    """A file that cannot be read is reported by name with the reason."""
    gone = tmp_path / "gone.jpg"
    (outcome,) = ran(
        [replace(pair("a", 1), read_image=gone.read_bytes)], [asked(Model(TRUTH))], tmp_path / "out"
    )
    assert "a.jpg or its mask cannot be read. No such file" in str(outcome.failures[0].error)


def test_cleared_predictions_are_requested_again(tmp_path):
    """Clearing removes everything; an evaluation that is running continues, and its results can be read."""
    model, pairs = Model(TRUTH), [pair("a", 10), pair("b", 20)]
    store = PredictionStore(tmp_path)
    list(evaluate(EvaluationTask(pairs[:1], [asked(model)], CLASSES), store))
    other = PredictionStore(tmp_path)
    store.clear()
    assert (len(store), list(tmp_path.iterdir())) == (0, [])
    list(evaluate(EvaluationTask(pairs, [asked(model)], CLASSES), other))
    assert (model.calls, len(PredictionStore(tmp_path))) == (3, 2)


def test_stopping_keeps_what_is_done(tmp_path):
    """A closed run starts no more images; finished ones are not sent again."""
    model = Model(TRUTH)
    pairs = [pair(f"p{i}", 5 * i) for i in range(30)]
    run = evaluate(EvaluationTask(pairs, [asked(model)], CLASSES), PredictionStore(tmp_path))
    next(run)
    run.close()
    before = model.calls
    assert before < 30
    assert len(PredictionStore(tmp_path)) == before
    ran(pairs, [asked(model)], tmp_path)
    assert model.calls == 30


def test_incomplete_line(tmp_path):
    """After a crash while writing a line, that image is sent again and the next line is complete."""
    model = Model(TRUTH)
    ran([pair("a", 10), pair("b", 20)], [asked(model)], tmp_path)
    path = tmp_path / LINES
    path.write_bytes(path.read_bytes()[:-20])
    ran([pair("a", 10), pair("b", 20)], [asked(model)], tmp_path)
    ran([pair("a", 10), pair("b", 20)], [asked(model)], tmp_path)
    assert model.calls == 3


def test_folder_of_another_program(tmp_path):
    """A file of that name that is not from an evaluation is kept, and reported."""
    (tmp_path / LINES).write_text("mine\n")
    with pytest.raises(InputError, match="not written by an evaluation"):
        PredictionStore(tmp_path)
    assert (tmp_path / LINES).read_text() == "mine\n"


def test_folder_with_another_report(tmp_path):
    """A report that is not from an evaluation is not overwritten, and nothing is started."""
    (tmp_path / "report.html").write_text("mine")
    with pytest.raises(InputError, match=r"report\.html already exists"):
        PredictionStore(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_predicted_mask_is_saved(tmp_path):
    """The predicted mask is saved in the folder, and has the same ids when read."""
    answer = 1 - TRUTH % 2
    ran([pair("a", 10)], [asked(Model(answer))], tmp_path)
    store = PredictionStore(tmp_path)
    key = json.loads((tmp_path / LINES).read_text().splitlines()[1])["key"]
    assert np.array_equal(store.predicted(key), answer)


@pytest.mark.parametrize("private", [True, False], ids=["private", "umask"])
def test_cached_predictions_are_private_only_in_the_state_folder(tmp_path, private):
    """Files are 0600 and folders 0700 in a private store; in a folder that the user chose, the umask applies."""
    folder = tmp_path / "evaluations" / "one"
    umask = os.umask(0o022)
    try:
        store = PredictionStore(folder, private=private)
        list(evaluate(EvaluationTask([pair("a", 10)], [asked(Model(TRUTH))], CLASSES), store))
        store.begin("0" * 32)
        paths = [tmp_path / "evaluations", *(tmp_path / "evaluations").rglob("*")]
        modes = {str(path.relative_to(tmp_path)): stat.S_IMODE(path.stat().st_mode) for path in paths}
        wanted = (0o700, 0o600) if private else (0o755, 0o644)
        assert modes == {str(path.relative_to(tmp_path)): wanted[0 if path.is_dir() else 1] for path in paths}
        assert len([path for path in paths if path.is_file()]) == 3
        store.give_up("0" * 32)
    finally:
        os.umask(umask)


def test_two_endpoints_on_the_same_images(tmp_path):
    """Two endpoints are compared on images with predictions of both; the difference is first minus second."""
    perfect, poor = Model(TRUTH % 255), Model(np.zeros((2, 4)), refuse=lambda shade: shade > 15)
    both = [asked(perfect, "a"), asked(poor, "b")]
    found = verdict_on([pair("x", 10), pair("y", 20)], both, tmp_path)
    assert [verdict.endpoint for verdict in found.endpoints] == ["a", "b"]
    assert found.image_count == 1
    assert found.difference.tolist() == pytest.approx([1 - 4 / 7, 1])
    assert "only one of the two endpoints returned a prediction: 1 image." in found.notes[0]


def test_cell_of_the_confusion_matrix_has_its_images(tmp_path):
    """The images in which land was confused with sea have the number of pixels, most first."""
    pairs = [pair("a", 10), pair("b", 20, np.ones((2, 4), np.uint8)), pair("c", 30, TRUTH * 0)]
    one = asked(Model(np.zeros((2, 4))))
    found = verdict_on(pairs, [one], tmp_path).endpoints[0]
    assert [(image.score.name, pixels) for image, pixels in confused_images(found, 1, 0)] == [
        ("b", 8),
        ("a", 3),
    ]
    assert confused_images(found, 0, 1) == ()


def test_classes_that_do_not_agree():
    """Given names are used; an endpoint with different names is reported with the first difference."""
    one = asked(Model(TRUTH))
    swapped = replace(one, classes=Classes(("land", "sea"), CLASSES.colors))
    assert resolve_classes([one], None) == (CLASSES, ())
    chosen, notes = resolve_classes([swapped], CLASSES)
    assert chosen is CLASSES
    assert "id 0 is land there and sea here" in notes[0]


def test_unknown_class_names(tmp_path):
    """Without names, classes are numbered up to the highest id in the masks, and a note says so."""
    one = replace(asked(Model(TRUTH * 0 + 3)), classes=None)
    classes, notes = resolve_classes([one], None)
    task = EvaluationTask([pair("a", 10)], [one], classes, notes=notes)
    found = score_outcomes(evaluate(task, PredictionStore(tmp_path)), task)
    assert found.classes.names == ("class 0", "class 1", "class 2", "class 3")
    assert "numbered" in found.notes[0]


def test_prediction_with_other_ids(tmp_path):
    """Predicted ids beyond the classes count as missed, and a note has their number."""
    one = asked(Model(TRUTH * 0 + 9))
    found = verdict_on([pair("a", 10)], [one], tmp_path)
    assert found.endpoints[0].scores.pixel_accuracy == 0
    assert "coast predicted an id above 1 for 7 pixels (100.0%)" in found.notes[0]


def test_no_image_could_be_evaluated(tmp_path):
    """If every image fails, the result is an error with the first reason."""
    one = asked(Model(TRUTH, refuse=lambda shade: True))
    with pytest.raises(
        InputError, match=r"No image could be evaluated: 1 image failed\. Could not ask: too many"
    ):
        verdict_on([pair("a", 10)], [one], tmp_path)


def test_pairs_by_stem():
    """Images and masks are paired by name without suffix, also with _mask; files without a partner are reported."""
    found = pair_up(["p/b.jpg", "p/a.jpeg", "p/c.png"], ["m/a.png", "m/b_mask.png", "m/x.png"])
    assert found.files == {"a": ("p/a.jpeg", "m/a.png"), "b": ("p/b.jpg", "m/b_mask.png")}
    assert found.notes == ("Skipped the image c: it has no mask.", "Skipped the mask x: it has no image.")


@pytest.mark.parametrize(
    ("photos", "masks", "only", "reason"),
    [
        (["a.jpg"], ["b.png"], None, "No image has a mask: 1 images and 1 masks"),
        (["a.jpg", "a.png"], ["a.png"], None, "Two images are named a: a.jpg and a.png"),
        (["a.jpg"], ["a.png"], ["a", "b"], "1 of the 2 names in the list have no image: b"),
        (["a.jpg", "b.jpg"], ["a.png"], ["b"], "1 of the 1 names in the list have no mask: b"),
    ],
)
def test_no_pairs(photos, masks, only, reason):
    """What cannot be paired is reported with its names."""
    with pytest.raises(InputError, match=reason):
        pair_up(photos, masks, only)


def test_accents_pair_up_however_they_are_written():
    """Decomposed (macOS) and composed accented characters are the same name, also in a list."""
    pairing = pair_up(["p/cafe\u0301.jpg"], ["m/caf\u00e9.png"], names_in_list("cafe\u0301\n"))
    assert pairing.files == {"caf\u00e9": ("p/cafe\u0301.jpg", "m/caf\u00e9.png")}


def test_list_of_names(tmp_path):
    """A list has one name per line, with or without suffix; empty lines, duplicates and VOC's marks are skipped."""
    assert names_in_list("a\n\nb.jpg  1\nc -1\n# d\na\n2010.05_x\n") == ["a", "b", "c", "2010.05_x"]
    assert names_in_list("two words\nmy image.JPG 1\nroom 12\na.jpg a.png\n") == [
        "two words", "my image", "room 12", "a",
    ]  # fmt: skip
    (tmp_path / "empty.txt").write_text("\n")
    with pytest.raises(InputError, match="is empty"):
        read_list(tmp_path / "empty.txt")


def test_folders(tmp_path):
    """The pairs of two folders have readers of their files; a list selects pairs, in its order."""
    for folder, suffix, data in (("photos", "jpg", jpeg(1)), ("masks", "png", png(TRUTH))):
        (tmp_path / folder).mkdir()
        for name in "abc":
            (tmp_path / folder / f"{name}.{suffix}").write_bytes(data)
    pairs, found = pairs_in(tmp_path / "photos", tmp_path / "masks", ["c", "a"])
    assert [one.name for one in pairs] == ["c", "a"]
    assert pairs[0].read_mask() == png(TRUTH)
    assert found.notes == ()
    with pytest.raises(InputError, match="does not exist"):
        pairs_in(tmp_path / "nowhere", tmp_path / "masks")


def test_one_folder_for_both(tmp_path):
    """Images and masks may be in one folder: a file that is grayscale, indexed or named like a mask is a mask."""
    (tmp_path / "a.jpg").write_bytes(jpeg(1))
    (tmp_path / "a.png").write_bytes(png(TRUTH))
    Image.new("RGB", (4, 2)).save(tmp_path / "b.png")
    (tmp_path / "b_mask.png").write_bytes(png(TRUTH))
    pairs, found = pairs_in(tmp_path, tmp_path)
    assert [(one.image, one.mask) for one in pairs] == [("a.jpg", "a.png"), ("b.png", "b_mask.png")]
    assert found.notes == ()


def test_masks_in_color(tmp_path):
    """Color masks are read by the colors in labelmap.txt; a color that is not in it is refused."""
    (tmp_path / "labelmap.txt").write_text("sea:0,0,255::\nland:0,170,0::\nvoid:9,9,9::\n")
    names = read_names(tmp_path / "labelmap.txt")
    colors = np.array([[[0, 0, 255], [0, 170, 0], [9, 9, 9]]], np.uint8)
    file = io.BytesIO()
    Image.fromarray(colors).save(file, "PNG")
    assert reader(names)(file.getvalue(), "a.png").tolist() == [[0, 1, 255]]
    colors[0, 0] = 1
    file = io.BytesIO()
    Image.fromarray(colors).save(file, "PNG")
    with pytest.raises(InputError, match=r"a\.png has pixels of a color that no class has"):
        reader(names)(file.getvalue(), "a.png")


def test_a_list_with_a_long_blank_is_read_quickly() -> None:
    """The time for a line grows linearly with its length."""
    wide = "a" + " " * 1_000_000 + "b"
    assert names_in_list(f"{wide}\nc 1\nd e.jpg f.png 1\n") == [wide, "c", "d e"]


def test_invalid_lines_are_skipped(tmp_path: Path) -> None:
    """A line with a path outside of the folder, too deep nesting or impossible counts is skipped."""
    good = {
        "key": "0" * 32, "endpoint": "e", "name": "a", "photo": "a.jpg", "mask": "a.png", "width": 4, "height": 2,
        "pixels": [[0, 1, 8]], "band": [], "ignored": 0, "seconds": 0.5, "problems": [],
    }  # fmt: skip
    odd = [
        {"key": "../../etc"},
        {"width": "4"},
        {"pixels": [[0, 300, 8]]},
        {"pixels": [[-1, 0, 8]]},
        {"seconds": None},
    ]
    lines = [
        {"segdeck": "evaluation", "version": 1},
        good,
        *({**good, "key": "1" * 32, **one} for one in odd),
    ]
    text = "\n".join(map(json.dumps, lines)) + "\n" + "[" * 5000 + "\n"
    (tmp_path / LINES).write_text(text)
    assert len(PredictionStore(tmp_path)) == 1
