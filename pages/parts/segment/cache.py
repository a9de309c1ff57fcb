"""Cached responses on the Segment page: an image that the endpoint's model has answered is not sent again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from core.aws.connection import Connection, clients
from core.aws.endpoints import read_endpoint
from core.endpoints.endpoint import IN_SERVICE
from core.errors import AwsError, InputError
from core.imaging.classes import Classes
from core.imaging.image import EncodedImage
from core.inference.invoke import Inference, OnStage, Want, reopen
from core.runs.responses import CachedResponse, ModelIdentity, response_key
from core.runs.store import RunStore
from pages.parts import messages
from pages.parts.run_store import Recorder
from pages.parts.tasks import StoppedError


class NotCachedError(InputError):
    """The response to an image is not stored, and the endpoint may not be invoked without a click."""


@dataclass(frozen=True, slots=True, eq=False)
class ResponseSource:
    """The stored responses of one model.

    connection: to check that the endpoint still serves this model; None for the responses of a stored run, which are
                shown whatever the endpoint serves now.
    """

    store: RunStore
    recorder: Recorder
    model: ModelIdentity
    connection: Connection | None

    def serves_model(self) -> bool:
        """Return whether the endpoint serves this model and is not being updated. Raises AwsError."""
        assert self.connection is not None  # noqa: S101  # for the type checker
        endpoint, _ = read_endpoint(clients(self.connection), self.model.endpoint)
        return endpoint.status == IN_SERVICE and endpoint.config == self.model.config.partition(" ")[0]

    def find(self, key: str, want: Want, *, complete: bool) -> CachedResponse | None:
        """Return the stored response, unless the endpoint serves another model by now.

        complete: whether class ids alone are not enough for a request for probabilities.
        """
        response = self.store.responses.get(key, want)
        if response is None or (complete and not response.complete):
            return None
        if self.connection is None:
            return response
        try:
            return response if self.serves_model() else None
        except AwsError as error:  # the page's own reading of the endpoint, a minute old at most, must do
            messages.log.warning("Reusing a response of %s unchecked: %s", self.model.endpoint, error)
            return response

    def keep(self, key: str, inference: Inference) -> None:
        """Store a response, if the endpoint still serves the model that the request was meant for.

        An update during the request leaves unknown which model responded: then nothing is stored.
        """
        try:
            if not self.serves_model():
                messages.log.warning(
                    "A response of %s is not stored: the endpoint has been updated.", self.model.endpoint
                )
                return
        except AwsError as error:
            raise InputError(
                f"A response of {self.model.endpoint} is not stored.",
                why=f"Segdeck could not check that the endpoint still serves the same model: {error}",
                todo="The result on the page is complete; sending the image again would be billed.",
            ) from error
        self.store.add_response(key, inference)


def segment_once(
    source: ResponseSource,
    image: EncodedImage,
    invoke: Callable[[], Inference],
    *,
    key: str = "",
    want: Want,
    classes: Classes | None,
    complete: bool,
    on_stage: OnStage,
    on_wait: Callable[[], None],
) -> tuple[Inference, str]:
    """Return the inference of an image and the key of its response: from the store, else by invoking the endpoint.

    invoke:   sends the image, or raises why it must not be sent.
    key:      of the response; empty: computed from the image.
    complete: see `ResponseSource.find`.
    on_wait:  called while another request for the same response is in progress.

    Two requests for the same response at the same time, also of two processes, lead to one call. Raises what `invoke`
    raises.
    """
    key = key or response_key(image, source.model)

    def cached() -> Inference | None:
        response = source.find(key, want, complete=complete)
        if response is None:
            return None
        return reopen(
            image, response.response, endpoint=source.model.endpoint, accept=response.accept, classes=classes,
            on_stage=on_stage,
        )  # fmt: skip

    if (inference := cached()) is not None:
        return inference, key
    try:
        turn = source.store.turn(key, on_wait)
    except InputError as error:  # a disk that fails takes nobody's result away
        source.recorder.report(error)
        return invoke(), ""
    try:
        inference = cached() or invoke()
    except BaseException:
        turn.release()
        raise
    if inference.cached:
        turn.release()
    else:
        source.recorder.submit(lambda: _keep_and_release(source, key, inference, turn.release))
    return inference, key


def stop_waiting(stopped: Callable[[], bool]) -> None:
    """Raise StoppedError once the user has stopped the task."""
    if stopped():
        raise StoppedError


def not_cached(endpoint: str, *, of_run: bool) -> NotCachedError:
    """Return why an image that may not be sent has no result. of_run: whether it is shown as a part of a run."""
    if of_run:
        return NotCachedError(
            "The result of this image is no longer stored.",
            why="Above the limit of SEGDECK_RESULTS_MB the oldest results are removed, or the image had failed.",
            todo="Use Run again to segment it with the endpoint as it is now, which is billed.",
        )
    return NotCachedError(
        f"This image has no stored result for the model that {endpoint} serves now.",
        why="The endpoint has been updated since, the request had failed, or the result has been removed.",
        todo="Try again to send it, which is billed.",
    )


def _keep_and_release(
    source: ResponseSource, key: str, inference: Inference, release: Callable[[], None]
) -> None:
    try:
        source.keep(key, inference)
    finally:
        release()
