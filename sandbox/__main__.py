"""Run the sandbox: `python -m sandbox` serves until SIGTERM or Ctrl-C.

`python -m sandbox interrupt JOB` and `python -m sandbox capacity TYPE none` act on the one that is running.
"""

from __future__ import annotations

import argparse
import ipaddress
import os
import re
import shlex
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox.common.descriptors import raise_file_limit
from sandbox.common.disk import CODE, is_full
from sandbox.common.limits import SandboxLimits
from sandbox.common.lossy_output import use_lossy_output
from sandbox.launcher import EXIT_IN_USE, Address, default_dir, running
from sandbox.rehearse import add_commands, run

if TYPE_CHECKING:
    from sandbox.hosting.context import Programs
    from sandbox.server import Sandbox

SETTLE_SECONDS = 90.0
EXIT_FAILED, EXIT_USAGE = 1, 2
HOSTS = ("127.0.0.1", "localhost", "::1")


def main(
    arguments: list[str] | None = None,
    *,
    programs: Programs | None = None,
    training_programs: Programs | None = None,
) -> int:
    """Run the command. Exit codes: 0 stopped on request, 1 failed, 2 invalid options, 3 the folder is in use.

    programs, training_programs: the programs that replace container images, see `sandbox.server.Sandbox`.
    """
    options = _options().parse_args(arguments)
    options.data = Path(options.data)
    if options.command is not None:
        return run(options)
    if options.print_env:
        return _print_running(options.data)
    refusal = host_refusal(options.host)
    if refusal:
        print(f"sandbox: --host {options.host} is refused: {refusal}. Use 127.0.0.1.", file=sys.stderr)
        return EXIT_USAGE
    use_lossy_output()
    os.umask(0o077)  # files and folders of this process and its programs are private to its user
    return _serve(options, programs, training_programs)


def _port(text: str) -> int:
    """Return a port number. Raises argparse.ArgumentTypeError."""
    if not re.fullmatch(r"[0-9]{1,5}", text) or int(text) > 65535:
        shown = text if len(text) <= 20 else f"{text[:20]}..."
        raise argparse.ArgumentTypeError(f"{shown} is not a port: use 0 to 65535; 0 picks a free port")
    return int(text)


def _options() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m sandbox",
        description="Run a local SageMaker that speaks the AWS protocol on loopback.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="loopback address to listen on")
    parser.add_argument(
        "--port",
        type=_port,
        help="default: the port used before, else 4566, else a free port; 0: a free port",
    )
    parser.add_argument(
        "--data", type=Path, default=default_dir(), metavar="DIR", help="folder for the sandbox's state"
    )
    parser.add_argument(
        "--print-env",
        action="store_true",
        help="print the environment variables of the sandbox running on DIR",
    )
    parser.add_argument("--exit-with-parent", action="store_true", help="exit when standard input is closed")
    parser.add_argument("--no-demo", action="store_true", help="do not create the demo endpoints")
    parser.add_argument(
        "--strict",
        action="store_true",
        help="also throttle as AWS does, and fail where AWS's PSP and DeepLab were reported to fail",
    )
    add_commands(parser)
    return parser


def host_refusal(host: str) -> str:
    """Return why the sandbox does not listen on `host`; empty for an accepted address."""
    if host in HOSTS:
        return ""
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if loopback:
        return f"only requests to {', '.join(HOSTS)} are answered, to prevent DNS rebinding by a web page"
    return "the sandbox runs programs for any client that can reach it, so it listens on loopback only"


def _print_running(data_dir: Path) -> int:
    """Print the variables of the sandbox that runs on `data_dir`; return the exit code."""
    address = running(data_dir)
    if address is None:
        print(f"No sandbox is running on {data_dir}. Start one with: python -m sandbox", file=sys.stderr)
        return EXIT_FAILED
    print(export_lines(address))
    return 0


def export_lines(address: Address) -> str:
    """Return shell lines that point any AWS client at the sandbox, and unset variables that would override them."""
    lines = ["unset AWS_PROFILE AWS_DEFAULT_PROFILE AWS_SESSION_TOKEN"]
    lines += [f"export {name}={value}" for name, value in address.environ().items()]
    return "\n".join(lines)


def ready_lines(url: str, data_dir: Path) -> str:
    """Return the lines that report the sandbox's URL and how to get its key: the key itself would end up in logs."""
    command = [sys.executable, "-m", "sandbox", "--print-env"]
    if data_dir != default_dir():
        command += ["--data", str(data_dir)]
    return f'The sandbox is ready at {url}. To point an AWS client at it:\neval "$({shlex.join(command)})"'


def _serve(options: argparse.Namespace, programs: Programs | None, training_programs: Programs | None) -> int:
    """Run a sandbox until a signal stops it; return the exit code."""
    # Slow imports (moto): only after the options were validated.
    from sandbox.common.state_dir import InUseError, UnsupportedError  # noqa: PLC0415
    from sandbox.seed.dataset import DatasetSeed  # noqa: PLC0415
    from sandbox.server import PortTakenError, Sandbox  # noqa: PLC0415

    stop = threading.Event()
    _stop_on_signals(stop)
    limit = raise_file_limit()
    if limit is not None and limit.warning:
        _report(f"sandbox: {limit.warning}")
    if options.exit_with_parent:
        threading.Thread(target=_wait_for_end_of_input, args=(stop,), daemon=True).start()
    try:
        sandbox = Sandbox(
            options.data,
            host=options.host,
            port=options.port,
            programs=programs,
            training_programs=training_programs,
            limits=SandboxLimits(strict=options.strict),
        )
    except InUseError as problem:
        print(f"sandbox: {problem}", file=sys.stderr)
        return EXIT_IN_USE
    except (PortTakenError, UnsupportedError) as problem:
        print(f"sandbox: {problem}", file=sys.stderr)
        return EXIT_FAILED
    except OSError as problem:
        print(f"sandbox: the folder {options.data} cannot be used: {problem.strerror}.", file=sys.stderr)
        return EXIT_FAILED
    # The demo training data comes last: nothing waits for it.
    dataset = DatasetSeed(sandbox.loopback, options.data, _report)
    try:
        sandbox.start()
        _get_ready(sandbox, options, stop)
        if not options.no_demo and not stop.is_set():
            dataset.start()
        stop.wait()
    finally:
        dataset.close()
        sandbox.withdraw()
        sandbox.stop()
    return 0


def _get_ready(sandbox: Sandbox, options: argparse.Namespace, stop: threading.Event) -> None:
    """Create the demo resources, wait for the endpoints, then announce the sandbox."""
    from botocore.exceptions import ClientError  # noqa: PLC0415

    from sandbox.seed.jobs import seed_jobs  # noqa: PLC0415
    from sandbox.seed.seed import DEMO_FOLDER, seed  # noqa: PLC0415

    try:
        seed(sandbox.loopback, options.data, _report, demos=None if options.no_demo else DEMO_FOLDER)
        if not options.no_demo:
            seed_jobs(sandbox.loopback, sandbox.importer, options.data)
    except (ClientError, OSError) as problem:
        full = isinstance(problem, OSError) and is_full(problem)
        if not full and not str(getattr(problem, "response", "")).count(CODE):
            raise
        _report(f"The demo resources are incomplete; the next start continues creating them: {problem}")
    if not sandbox.wait_settled(SETTLE_SECONDS, stop):
        _report(f"Some endpoints are still being created after {SETTLE_SECONDS:g} seconds.")
    if not stop.is_set():
        sandbox.announce()
        _report(ready_lines(sandbox.address.url, options.data))


def _report(text: str) -> None:
    print(text, flush=True)


def _stop_on_signals(stop: threading.Event) -> None:
    """Set `stop` on SIGTERM and SIGINT, from a thread: signal handlers run in the main thread, which is waiting."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)

    def wait() -> None:
        os.read(reader, 1)
        stop.set()

    threading.Thread(target=wait, daemon=True).start()


def _wait_for_end_of_input(stop: threading.Event) -> None:
    """Set `stop` when standard input is closed."""
    # Not sys.stdin: its lock, held here forever, would break the interpreter's shutdown.
    while os.read(0, 4096):
        pass
    stop.set()


if __name__ == "__main__":
    sys.exit(main())
