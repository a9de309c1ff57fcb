"""Wait until an endpoint is in service or has failed."""

# ruff: noqa: PLC0415 - each function imports what it needs, so that --help is fast

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import typer

from commands.common import (
    FAILED,
    MAX_FAILURES,
    STOPPED,
    TRANSIENT_ERRORS,
    Backend,
    print_error,
    say,
    status,
    status_text,
)
from core.errors import AwsError

if TYPE_CHECKING:
    from core.aws.connection import Clients
    from core.endpoints.endpoint import Endpoint
    from core.training.diagnosis import Diagnosis

POLL_SECONDS, MAX_POLL_SECONDS, SHARE = 0.25, 10.0, 0.1
"""The polling interval is a tenth of the time waited: the sandbox takes seconds, AWS minutes."""

LAST_LINES = 100


def wait_until_settled(backend: Backend, name: str, *, config: str) -> dict[str, Any]:
    """Wait until an endpoint has settled and return the result for JSON. Raises AwsError; Exit for Ctrl-C.

    config: name of the configuration that it should then have; another one means that an update was rolled back.
    """
    try:
        endpoint = _settled_endpoint(backend.clients, name)
    except KeyboardInterrupt:
        say(
            f"The sandbox was started for this command and is stopping; endpoint {name} will start again with it."
            if backend.ends_with_us
            else f"AWS continues with the endpoint {name} and bills for it once it is in service. "
            f"To see its status: segdeck endpoints show {name}. To delete it: segdeck endpoints delete {name}"
        )
        raise typer.Exit(STOPPED) from None
    served = endpoint.in_service and endpoint.config == config
    diagnosis = None if served else _diagnosis(backend.clients, endpoint)
    return {
        "name": name,
        "status": endpoint.status,
        "served": served,
        "failure_reason": endpoint.failure_reason,
        "diagnosis": {"title": diagnosis.title, "cause": diagnosis.cause, "todo": diagnosis.todo}
        if diagnosis
        else None,
    }


def print_result(result: dict[str, Any]) -> None:
    """Report the result. Raises Exit if the endpoint does not serve the model."""
    name, diagnosis = result["name"], result["diagnosis"]
    if result["served"]:
        say(f"The endpoint {name} is in service.")
        return
    what = (
        f"The endpoint {name} was not updated. It serves the same models as before."
        if result["status"] == "InService"
        else f"The endpoint {name} failed."
    )
    print_error(
        what, f"{diagnosis['title']}: {diagnosis['cause']}", diagnosis["todo"], result["failure_reason"]
    )
    if result["status"] == "Failed":
        say(
            "The failed endpoint, its configuration and its model remain. "
            f"To remove them: segdeck endpoints delete {name}"
        )
    raise typer.Exit(FAILED)


def _settled_endpoint(clients: Clients, name: str) -> Endpoint:
    from core.aws.endpoints import describe_endpoint
    from core.endpoints.endpoint import in_words

    began, failed, reported = time.monotonic(), 0, ""
    with status() as shown:
        while True:
            try:
                endpoint = describe_endpoint(clients, name)
            except TRANSIENT_ERRORS as error:
                failed += 1
                if failed >= MAX_FAILURES:
                    raise
                _report_failure(error, failed)
            else:
                failed = 0
                if not endpoint.changing:
                    return endpoint
                if endpoint.status != reported:
                    reported = endpoint.status
                    say(f"The endpoint {name} is {in_words(reported)} ...")
            waited = time.monotonic() - began
            shown.update(status_text(f"{in_words(reported)}, {waited:.0f} s"))
            time.sleep(min(max(POLL_SECONDS, SHARE * waited), MAX_POLL_SECONDS))


def _report_failure(error: AwsError, failed: int) -> None:
    if failed == 1:
        say(f"{error} Trying again.")


def _diagnosis(clients: Clients, endpoint: Endpoint) -> Diagnosis:
    """Return why an endpoint failed, with the help of its log if that can be read."""
    from core.aws.logs import endpoint_tail
    from core.endpoints.diagnosis import diagnose_endpoint

    try:
        lines = [event.message for event in endpoint_tail(clients, endpoint.name, limit=LAST_LINES).events]
    except AwsError as error:
        say(f"The endpoint's log could not be read. {error}")
        lines = []
    return diagnose_endpoint(endpoint.failure_reason, lines)
