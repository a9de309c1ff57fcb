"""Segment the tiles of a plan with an endpoint, several at once, and pass finished strips on.

Threads read, encode and invoke; one thread joins the results in order. Two threads more than there are requests at
once read and encode ahead, so that the endpoint never waits for them.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, MutableMapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.batch.client import MAX_FAILURES, concerns_all, release
from core.errors import CoreError, InputError
from core.imaging.classes import Classes
from core.inference.gate import CallGate, StoppedError
from core.inference.invoke import EndpointResponse, Invoke, segment
from core.text import plural
from core.tiles.area import Area
from core.tiles.blend import Blender, Strip
from core.tiles.plan import Tile, TilePlan, encode_tile
from core.tiles.result import TileResult, reduce
from core.tiles.scene import SceneReader
from core.tiles.store import TileStore

SPARE = 2
"""Threads in addition to the requests at once: they read and encode the next tiles."""

AHEAD = 2
"""Tiles per thread that are in progress or wait to be joined: only what is kept of them is in memory."""


class ClassCountError(InputError):
    """A response has another number of classes than those of other tiles."""


class TileAnswer(NamedTuple):
    """What became of a tile that was read.

    result:   None if it failed.
    valid:    (H, W) bool, where the tile has data inside the area; None if it could not be read.
    error:    why it failed.
    kept:     whether the result is an earlier one: the endpoint was not invoked.
    seconds:  of the invocation.
    key:      of the stored result.
    """

    result: TileResult | None
    valid: NDArray[np.bool_] | None
    error: Exception | None = None
    kept: bool = False
    seconds: float = 0.0
    key: str = ""


@dataclass(slots=True)
class TileOutcome:
    """What happened to the tiles.

    sent, kept:    how many were segmented by the endpoint, and how many earlier results were used.
    failed:        the tiles without a result, with the error.
    not_attempted: how many were left when the run was stopped.
    whole:         whether every strip was passed on; only then is there a map.
    stopped:       whether it was interrupted.
    fault:         the error after which it stopped, because it concerns all tiles; None if it did not.
    classes:       of the responses; 0: unknown, or labels only.
    seconds:       of all invocations together.
    problems:      sentences about responses, with the number of tiles.
    """

    sent: int = 0
    kept: int = 0
    failed: list[tuple[Tile, Exception]] = field(default_factory=list)
    not_attempted: int = 0
    whole: bool = False
    stopped: bool = False
    fault: CoreError | None = None
    classes: int = 0
    seconds: float = 0.0
    problems: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class TileTask:
    """Segments one tile, in any thread. accepts: see `core.inference.invoke.segment`."""

    plan: TilePlan
    reader: SceneReader
    store: TileStore
    endpoint: str
    classes: Classes | None
    invoke: Invoke
    gate: CallGate
    area: Area | None = None
    accepts: MutableMapping[str, str] = field(default_factory=dict)

    def run(self, tile: Tile) -> TileAnswer:
        """Return the result of a tile, an earlier one if there is one. Raises StoppedError only."""
        if self.gate.stopped:
            raise StoppedError
        valid = None
        try:
            height, width = self.plan.rows.tile, self.plan.columns.tile
            pixels = self.reader.read(tile.y.start, tile.x.start, height, width)
            valid = pixels.valid
            if self.area is not None:
                valid = valid & self.area.mask(tile.y.start, tile.x.start, height, width)
            image = encode_tile(pixels.colors)
            del pixels
            key = self.store.key(image.body, tile)
            result = self.store.load(key, tile)
            if result is not None:
                return TileAnswer(result, valid, kept=True, key=key)
            inference = segment(
                image,
                self._gated,
                endpoint=self.endpoint,
                accepts=self.accepts,
                want=self.plan.want,
                classes=self.classes,
            )
            result = reduce(inference.segmentation, tile, blend=self.plan.want == "probabilities")
            self.store.save(key, result)
            return TileAnswer(result, valid, seconds=inference.answer.seconds, key=key)
        except StoppedError:
            raise
        except Exception as error:  # noqa: BLE001 - one tile never stops the rest; all failures are reported
            release(error)
            return TileAnswer(None, valid, error)

    def _gated(self, body: bytes, content_type: str, accept: str) -> EndpointResponse:
        return self.gate.call(lambda: self.invoke(body, content_type, accept))


def run_tiles(
    task: TileTask,
    concurrency: int,
    outcome: TileOutcome,
    sink: Callable[[Strip], None],
    on_tile: Callable[[], None],
) -> None:
    """Segment all tiles and record what happened in `outcome`. A tile that fails does not stop the others.

    Ctrl-C, `task.gate.stop()` in another thread, and `MAX_FAILURES` consecutive failures that concern all tiles let
    the tiles in progress end and start no more; then the strips are not complete (`outcome.whole`). `MAX_FAILURES`
    failures of any kind before the first result do so as well.

    sink:    gets each finished strip, from the top.
    on_tile: called after each tile that is sent.

    Raises what `sink` raises.
    """
    plan = task.plan
    blender = Blender(plan)
    failures, done = 0, 0
    with ThreadPoolExecutor(concurrency + SPARE, thread_name_prefix="tile") as pool:
        answers = _Answers(task, pool, AHEAD * (concurrency + SPARE))
        try:
            for tile in plan.tiles():
                answer = answers.next() if plan.is_sent(tile) else TileAnswer(None, None)
                if plan.is_sent(tile):
                    done += 1
                    answer = _record(task, tile, answer, outcome)
                    on_tile()
                    # As long as no tile has a result, any failure may be that of all: each is paid for.
                    alike = answer.error is not None and not (outcome.sent or outcome.kept)
                    alike = alike or isinstance(answer.error, ClassCountError) or concerns_all(answer.error)
                    failures = failures + 1 if alike else 0
                    if failures >= MAX_FAILURES and isinstance(answer.error, CoreError):
                        outcome.fault = answer.error
                        break
                blender.add(tile, answer.result, answer.valid)
                if tile.column == len(plan.columns.starts) - 1:
                    sink(blender.finish_row())
            else:
                outcome.whole = True
        except (KeyboardInterrupt, StoppedError):
            outcome.stopped = True
        finally:
            task.gate.stop()
            answers.cancel()
    outcome.not_attempted = plan.requests - done


class _Answers:
    """The answers to the tiles that are sent, in order; only some are in progress."""

    def __init__(self, task: TileTask, pool: ThreadPoolExecutor, ahead: int) -> None:
        self._task, self._pool = task, pool
        self._left: Iterator[Tile] = filter(task.plan.is_sent, task.plan.tiles())
        self._waiting: deque[Future[TileAnswer]] = deque()
        self._submit(ahead)

    def next(self) -> TileAnswer:
        answer = self._waiting.popleft().result()
        self._submit(1)
        return answer

    def cancel(self) -> None:
        for future in self._waiting:
            future.cancel()

    def _submit(self, count: int) -> None:
        self._waiting.extend(self._pool.submit(self._task.run, tile) for tile in islice(self._left, count))


def _record(task: TileTask, tile: Tile, answer: TileAnswer, outcome: TileOutcome) -> TileAnswer:
    """Record what became of a tile; a response with another number of classes than the others is a failure.

    It is not kept: the tile can be sent again.
    """
    result = answer.result
    if result is not None and outcome.classes and result.classes not in (0, outcome.classes):
        error = ClassCountError(
            f"The response has {plural(result.classes, 'class', 'classes')}, "
            f"those of other tiles have {outcome.classes}.",
            todo="Check that the endpoint has one model, and was not updated meanwhile.",
        )
        if not answer.kept:  # it was paid for by an earlier run, which may have been the right one
            task.store.discard(answer.key)
        answer = TileAnswer(None, answer.valid, error)
    if answer.result is None:
        outcome.failed.append((tile, answer.error or RuntimeError("no result")))
        return answer
    outcome.classes = outcome.classes or answer.result.classes
    outcome.problems.update(answer.result.problems)
    outcome.seconds += answer.seconds
    if answer.kept:
        outcome.kept += 1
    else:
        outcome.sent += 1
    return answer
