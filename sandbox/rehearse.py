"""`python -m sandbox interrupt` and `capacity`: rehearse what happens to instances, in a running sandbox."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from sandbox.launcher import Address, running

EXIT_FAILED = 1
SECONDS = 10.0  # for the sandbox to answer


class RefusedError(Exception):
    """The sandbox refused the operation; the text is the reason."""


def add_commands(parser: argparse.ArgumentParser) -> None:
    """Add the commands to the command line of the sandbox."""
    commands = parser.add_subparsers(
        dest="command", metavar="COMMAND", title="commands for a running sandbox"
    )
    interrupt = commands.add_parser(
        "interrupt", help="reclaim the spot instance of a training job", allow_abbrev=False
    )
    interrupt.add_argument("job", metavar="JOB", help="name of a spot training job that has not ended")
    interrupt.add_argument("--after-checkpoint", action="store_true", help="wait until a checkpoint is in S3")
    interrupt.add_argument(
        "--no-capacity",
        type=_seconds,
        default=0,
        metavar="SECONDS",
        help="time until there is a new instance",
    )
    capacity = commands.add_parser(
        "capacity",
        help="remove, or restore, an instance type's capacity for jobs and endpoints",
        allow_abbrev=False,
    )
    capacity.add_argument("instance_type", metavar="TYPE", help="such as ml.g5.xlarge")
    capacity.add_argument("state", choices=("none", "available"))
    capacity.add_argument(
        "--seconds", type=_seconds, default=0, help="with none: until it is available again; default: no end"
    )
    for command in (interrupt, capacity):
        command.add_argument(
            "--data", default=argparse.SUPPRESS, metavar="DIR", help="folder of the sandbox's state"
        )


def run(options: argparse.Namespace) -> int:
    """Run one of the commands; return the exit code."""
    address = running(options.data)
    if address is None:
        print(f"No sandbox is running on {options.data}. Start one with: python -m sandbox", file=sys.stderr)
        return EXIT_FAILED
    try:
        print(_interrupt(address, options) if options.command == "interrupt" else _capacity(address, options))
    except RefusedError as problem:
        print(f"sandbox: {problem}", file=sys.stderr)
        return EXIT_FAILED
    return 0


def call(
    address: Address, operation: str, params: dict[str, Any], keys: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Run one of the sandbox's own operations. Raises RefusedError.

    keys: access key, secret key and session token; those of the address by default.
    """
    # Imported here: the sandbox itself starts without them.
    import urllib3  # noqa: PLC0415
    from botocore.auth import SigV4Auth  # noqa: PLC0415
    from botocore.awsrequest import AWSRequest  # noqa: PLC0415
    from botocore.credentials import Credentials  # noqa: PLC0415

    headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": f"Sandbox.{operation}"}
    request = AWSRequest("POST", f"{address.url}/", headers, json.dumps(params).encode())
    credentials = Credentials(*(keys or (address.access_key, address.secret_key)))
    SigV4Auth(credentials, "sandbox", address.region).add_auth(request)
    try:
        response = urllib3.request(
            "POST",
            request.url,
            body=request.body,
            headers=dict(request.headers),
            timeout=SECONDS,
            retries=False,
        )
        answer: dict[str, Any] = response.json()
    except (urllib3.exceptions.HTTPError, ValueError) as problem:
        raise RefusedError(f"The sandbox at {address.url} did not answer: {problem}.") from problem
    if response.status != 200:
        raise RefusedError(str(answer.get("message") or answer.get("Message") or answer))
    return answer


def _interrupt(address: Address, options: argparse.Namespace) -> str:
    """Request an interruption; return what happens now. Raises RefusedError."""
    params = {
        "TrainingJobName": options.job,
        "AfterCheckpoint": options.after_checkpoint,
        "CapacitySeconds": options.no_capacity,
    }
    status = call(address, "InterruptTrainingJob", params)["SecondaryStatus"]
    when = "once it trains and has a checkpoint in S3" if options.after_checkpoint else "as soon as it trains"
    after = f" A new instance is available {options.no_capacity} s later." if options.no_capacity else ""
    return f"{options.job} ({status}) is interrupted {when}.{after}"


def _capacity(address: Address, options: argparse.Namespace) -> str:
    """Set the capacity of an instance type; return what applies now. Raises RefusedError."""
    available = options.state == "available"
    params = {"InstanceType": options.instance_type, "Available": available, "Seconds": options.seconds}
    call(address, "SetCapacity", params)
    if available:
        return f"{options.instance_type} can be launched again."
    end = f"for {options.seconds} s" if options.seconds else "until: capacity TYPE available"
    return f"No {options.instance_type} can be launched, {end}. What runs on one keeps running."


def _seconds(text: str) -> int:
    """Return a number of seconds. Raises argparse.ArgumentTypeError."""
    if not text.isascii() or not text.isdecimal() or int(text) > 86_400:
        raise argparse.ArgumentTypeError(f"{text[:20]} is not a number of seconds from 0 to 86400")
    return int(text)
