"""The commands that run until they are stopped: `run` (the dashboard) and `sandbox`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Literal, NoReturn

import typer

from core.settings import PROJECT


def run(
    *,
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int | None,
        typer.Option(
            metavar="PORT",
            min=0,
            max=65535,
            help="Port to listen on. Default: 8501, or the next free port. 0: any free port.",
        ),
    ] = None,
    mode: Annotated[
        Literal["sandbox", "aws"] | None,
        typer.Option(
            help="sandbox: a local SageMaker emulator. aws: your AWS account. "
            "Default: SEGDECK_MODE, or sandbox if it is not set."
        ),
    ] = None,
    profile: Annotated[
        str, typer.Option(metavar="NAME", help="Default profile of ~/.aws, in mode aws: sets AWS_PROFILE.")
    ] = "",
    region: Annotated[
        str, typer.Option(metavar="REGION", help="Default region, in mode aws: sets AWS_REGION.")
    ] = "",
) -> None:
    """Start the dashboard. Ctrl-C stops it. Other accounts and regions can be chosen in its sidebar.

    It has no sign-in, so it refuses to listen on a network unless SEGDECK_ALLOW_ANONYMOUS=1 is set.
    """
    arguments = [f"--server.address={host}"]
    arguments += [] if port is None else [f"--server.port={port}"]
    variables = {"SEGDECK_MODE": mode or "", "AWS_PROFILE": profile, "AWS_REGION": region}
    given = {name: text for name, text in variables.items() if text}
    _become("streamlit", "run", "app.py", *arguments, **given)


def sandbox(
    *,
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Loopback address to listen on.")
    ] = "127.0.0.1",
    port: Annotated[
        int | None,
        typer.Option(
            metavar="PORT",
            min=0,
            max=65535,
            help="Default: the port of the last run, or 4566, or a free port. 0: any free port.",
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="State directory. Default: SEGDECK_SANDBOX_DIR, or .sandbox in the checkout."
        ),
    ] = None,
    print_env: Annotated[
        bool,
        typer.Option("--print-env", help="Print the environment variables of the running sandbox and exit."),
    ] = False,
    exit_with_parent: Annotated[
        bool, typer.Option("--exit-with-parent", help="Exit when standard input is closed.")
    ] = False,
    no_demo: Annotated[
        bool, typer.Option("--no-demo", help="Do not create the demo endpoints, jobs and datasets.")
    ] = False,
    strict: Annotated[
        bool,
        typer.Option(
            "--strict",
            help="Also throttle as AWS does, and fail where AWS's PSP and DeepLab were reported to fail.",
        ),
    ] = False,
) -> None:
    """Run the sandbox: a SageMaker on this machine. Ctrl-C stops it.

    To point any AWS client at it: eval "$(segdeck sandbox --print-env)"
    """
    arguments = ["--host", host]
    arguments += [] if port is None else ["--port", str(port)]
    arguments += [] if data is None else ["--data", str(data.absolute())]
    switches = {
        "--print-env": print_env,
        "--exit-with-parent": exit_with_parent,
        "--no-demo": no_demo,
        "--strict": strict,
    }
    _become("sandbox", *arguments, *(name for name, on in switches.items() if on))


def _become(module: str, *arguments: str, **variables: str) -> NoReturn:
    """Replace this process by a Python module in the folder of the checkout.

    Streamlit reads .streamlit/config.toml in the current folder, and `python -m` finds modules there. What the module
    imports stays out of the command line.
    """
    command = [sys.executable, "-m", module, *arguments]
    environ = os.environ | variables
    os.chdir(PROJECT)
    if sys.platform == "win32":  # exec would give the terminal back to the shell while the module runs
        raise typer.Exit(subprocess.call(command, env=environ))  # noqa: S603 - the command above
    os.execve(sys.executable, command, environ)  # noqa: S606 - the command above
