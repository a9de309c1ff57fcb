"""Store an evaluation as a run, once it has ended."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from weakref import WeakValueDictionary

from core.aws.connection import Connection
from core.endpoints.endpoint import EndpointInfo
from core.errors import CoreError
from core.evaluation.results import Evaluation
from core.local_files import reason
from core.runs import evaluation as stored
from core.runs.run import Run, RunEndpoint, new_id
from core.runs.store import RunStore
from pages.parts import cached, formatting, messages, run_store, state
from pages.parts.evaluate import slots
from pages.parts.evaluate.run import BackgroundEvaluation
from pages.parts.run_store import RUN, Recorder

FORM = (slots.LABELED, slots.PART, slots.FOLDER, slots.S3_IMAGES, slots.S3_MASKS)
"""URL parameters of the form that names the labeled data."""


def new_run(
    connection: Connection, endpoints: Iterable[EndpointInfo], fit: tuple[int, int] | None, title: str
) -> Run:
    """Return the run of an evaluation that starts now, without results."""
    return Run(
        id=new_id(),
        kind="evaluation",
        started_at=formatting.now(),
        user=run_store.user(connection),
        location=run_store.location_name(connection),
        endpoints=tuple(
            RunEndpoint(endpoint.name, endpoint.config, endpoint.model_uri, endpoint.job)
            for endpoint in endpoints
        ),
        want="mask",
        fit=fit,
        title=title,
        form=state.query(FORM),
    )


def follow(store: RunStore, run: Run, evaluation: BackgroundEvaluation) -> None:
    """Store the run once the evaluation has ended, and put its address into the URL."""
    evaluation.run_id = run.id
    _evaluations()[run.id] = evaluation
    RUN.set(run.id)
    recorder = run_store.recorder()
    evaluation.future.add_done_callback(partial(_store, store, recorder, run, evaluation))


def in_progress(run_id: str) -> BackgroundEvaluation | None:
    """Return an evaluation of this process by its run, also that of another session; None if it is gone."""
    return _evaluations().get(run_id)


def _evaluations() -> WeakValueDictionary[str, BackgroundEvaluation]:
    return cached.singleton("evaluations", WeakValueDictionary)


def _store(
    store: RunStore,
    recorder: Recorder,
    run: Run,
    evaluation: BackgroundEvaluation,
    future: Future[Evaluation],
) -> None:
    """Store the scores, then the worst images; in the evaluation's own thread, as it may read from S3."""
    if future.cancelled() or future.exception() is not None:
        return
    result, seconds = future.result(), evaluation.seconds

    def scores(images: dict[str, stored.StoredImage]) -> str:
        return store.add_content(stored.to_bytes(result, seconds, images))

    def add() -> None:
        store.add(
            replace(
                run,
                classes=result.classes,
                image_count=result.image_count,
                failed=evaluation.failed,
                names=stored.names_of(result),
                measures=stored.measures_of(result),
                scores=scores({}),
            )
        )

    recorder.submit(add)
    images = _images(store, evaluation, result)
    contents = tuple(dict.fromkeys(name for image in images.values() for name in image.contents))

    def add_images() -> None:
        store.update(run.id, lambda run: replace(run, scores=scores(images), contents=contents))
        store.prune()

    recorder.submit(add_images)


def _images(
    store: RunStore, evaluation: BackgroundEvaluation, result: Evaluation
) -> dict[str, stored.StoredImage]:
    """Store the worst images. One that cannot be read any more is left out, and logged."""
    pairs = {pair.name: pair for pair in evaluation.task.pairs}
    keys: dict[str, list[str]] = {}
    for scores in result.endpoints:
        for image in scores.images:
            keys.setdefault(image.score.name, []).append(image.score.key)
    images = {}
    for image in result.endpoints[0].images[: stored.MOST_IMAGES]:
        name = image.score.name
        try:
            images[name] = stored.store_image(store, pairs[name], keys[name], evaluation.store)
        except (CoreError, OSError) as error:
            why = str(error) if isinstance(error, CoreError) else reason(error)
            messages.log.warning("The image %s of a run is not stored: %s", name, why)
    return images
