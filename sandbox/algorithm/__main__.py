"""Run the algorithm as a container's entry point: `python -m sandbox.algorithm serve` or `train`."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from sandbox.algorithm.mxnet_import import SERVE_THREADS, AlgorithmError, load_mxnet

UNUSABLE = 3
"""Exit code when the algorithm cannot run; the last line on stderr is the reason, in one sentence."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return the exit code."""
    options = _parser().parse_args(arguments)
    return int(options.run(options))


def _serve(options: argparse.Namespace) -> int:
    """Serve a model until a signal; return the exit code."""
    try:
        load_mxnet(SERVE_THREADS)
        # Imported here: MXNet's number of threads must be set before any of it is loaded.
        from sandbox.algorithm.serve import ServeConfig, serve  # noqa: PLC0415

        serve(ServeConfig.from_environ(os.environ, options.model, options.port))
    except AlgorithmError as error:
        print(error, file=sys.stderr, flush=True)
        return UNUSABLE
    return 0


def _train(_options: argparse.Namespace) -> int:
    """Train a job; return the exit code."""
    # Imported here: serving does not need it.
    from sandbox.algorithm import train_command  # noqa: PLC0415

    os.nice(train_command.NICENESS)
    return train_command.run(train_command.Root.from_environ(os.environ))


def _parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.algorithm", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="command")
    serving = commands.add_parser("serve", help="serve a model over HTTP")
    serving.add_argument(
        "--model", type=Path, help="folder of the unpacked model (default: $SM_ML_ROOT/model)"
    )
    serving.add_argument(
        "--port", type=int, default=8080, help="port when no socket is inherited (default: 8080)"
    )
    serving.set_defaults(run=_serve)
    training = commands.add_parser("train", help="train the job in $SM_ML_ROOT")
    training.set_defaults(run=_train)
    return parser


if __name__ == "__main__":
    sys.exit(main())
