"""`python -m sandbox.algorithm serve` and `train`: what a container's entry point is to SageMaker."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from sandbox.algorithm.mxnet_import import SERVE_THREADS, AlgorithmError, load_mxnet

UNUSABLE = 3
"""Exit code where the algorithm cannot run; the last line on stderr says why, in one sentence."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command; the exit code."""
    options = _parser().parse_args(arguments)
    return int(options.run(options))


def _serve(options: argparse.Namespace) -> int:
    try:
        load_mxnet(SERVE_THREADS)
        # Imported here: MXNet must have been told its threads before any of it is loaded.
        from sandbox.algorithm.serve import ServeConfig, serve  # noqa: PLC0415

        serve(ServeConfig.from_environ(os.environ, options.model, options.port))
    except AlgorithmError as error:
        print(error, file=sys.stderr, flush=True)
        return UNUSABLE
    return 0


def _train(_options: argparse.Namespace) -> int:
    # Imported here: serving needs none of it.
    from sandbox.algorithm import train_command  # noqa: PLC0415

    os.nice(train_command.NICENESS)
    return train_command.run(train_command.Root.from_environ(os.environ))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sandbox.algorithm", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="command")
    serving = commands.add_parser("serve", help="answer pictures over HTTP")
    serving.add_argument("--model", type=Path, help="unpacked model archive (default: $SM_ML_ROOT/model)")
    serving.add_argument(
        "--port", type=int, default=8080, help="where no socket is inherited (default: 8080)"
    )
    serving.set_defaults(run=_serve)
    training = commands.add_parser("train", help="train the job described below $SM_ML_ROOT")
    training.set_defaults(run=_train)
    return parser


if __name__ == "__main__":
    sys.exit(main())
