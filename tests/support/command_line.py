"""Run the command line in the test's own process."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from typer import Typer
from typer.main import get_command
from typer.testing import CliRunner as TyperRunner
from typer.testing import Result

command_of = cache(get_command)


class CliRunner(TyperRunner):
    """Typer's runner, except that all runs share one tree of commands: building it takes longer than most of them."""

    def invoke(
        self,
        app: Typer,
        args: str | Sequence[str] | None = None,
        input: bytes | str | None = None,  # noqa: A002 - Typer's name
        env: Mapping[str, str | None] | None = None,
        *,
        prog_name: str = "",
        **more: Any,
    ) -> Result:
        """Return the result of a command; unlike Typer's, `more` are arguments of the command's `main` only."""
        command, words = command_of(app), args.split() if isinstance(args, str) else args or ()
        name = prog_name or self.get_default_prog_name(command)
        code, problem, trace = 0, None, None
        with self.isolation(input=input, env=env) as (stdout, stderr, output):
            try:
                command.main(args=words, prog_name=name, **more)
            except SystemExit as ending:
                code = ending.code if isinstance(ending.code, int) else int(ending.code is not None)
                problem, trace = ending if code else None, sys.exc_info()
            except Exception as error:  # noqa: BLE001 - it is in the result, where tests look for it
                code, problem, trace = 1, error, sys.exc_info()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
            return Result(
                runner=self,
                stdout_bytes=stdout.getvalue(),
                stderr_bytes=stderr.getvalue(),
                output_bytes=output.getvalue(),
                return_value=None,
                exit_code=code,
                exception=problem,
                exc_info=trace,
            )
