"""A plan in the terminal: shown, asked for, carried out step by step."""

# ruff: noqa: PLC0415 - each function imports what it needs, so that --help comes at once

from __future__ import annotations

import os
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from commands.common import FAILED, STOPPED, print_json, say, say_block, write_block
from core.errors import CoreError, InputError
from core.settings import Settings

if TYPE_CHECKING:
    from core.aws.connection import Clients
    from core.aws.execute import PlanOutcome
    from core.datasets.convert import Conversion
    from core.plans.journal import Entry, Journal
    from core.plans.plan import ApiCall, Plan, StepState

DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the plan and its price, and do nothing.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]

STATE_NOTES = {
    "recovered": " (the reply was lost; a second look shows that it is done)",
    "already": " (was there)",
    "kept": " (not done: something else uses it)",
}
"""What to add to a step that was done otherwise than by a call and its answer."""


def confirmed(plan: Plan | Conversion, *, yes: bool, dry_run: bool, as_json: bool) -> bool:
    """Show a plan and ask; False for a dry run. Raises Exit where the answer is no."""
    if dry_run:
        if as_json:
            print_json(**plan.to_dict())
        else:
            write_block(plan)
        say("This is a dry run: nothing was done.")
        return False
    if not yes:
        say_block(plan)
        if not sys.stdin.isatty():
            raise InputError("Nobody can be asked here: standard input is no terminal.", todo="Add --yes.")
        _prompt()
    return True


def _prompt() -> None:
    """Raises Exit where the answer is no, or none."""
    code = FAILED
    try:
        if typer.confirm("Do it?", err=True):
            return
    except typer.Abort as abort:  # Ctrl-C, or the end of the input
        code = STOPPED if isinstance(abort.__context__, KeyboardInterrupt) else FAILED
        say("")
    say("Nothing was done.")
    raise typer.Exit(code)


def execute_plan(
    clients: Clients,
    plan: Plan,
    *,
    journal: Journal | None = None,
    cut: Entry | None = None,
    cleans: Entry | None = None,
) -> PlanOutcome:
    """Do it, and say each step of several. Raises AwsError, InputError, JournalError.

    cut:    the plan was begun before; what is left of it is done.
    cleans: the interrupted change that this plan cleans up after.
    """
    from core.aws.execute import clean_up_interrupted, execute, resume

    def on_step(number: int, step: ApiCall, state: StepState) -> None:
        if state == "start":
            say(f"{number + 1}/{len(plan.steps)} {step.what}")
        elif state in STATE_NOTES:
            say(f"  {STATE_NOTES[state]}")

    report_step = on_step if len(plan.steps) > 1 else None
    try:
        if cut is not None and journal is not None:
            outcome = resume(clients, journal, cut, on_step=report_step)
        elif cleans is not None and journal is not None:
            outcome = clean_up_interrupted(clients, journal, cleans, plan, on_step=report_step)
        else:
            outcome = execute(clients, plan, on_step=report_step, journal=journal)
    except (CoreError, KeyboardInterrupt):
        begun = plan if cleans is None else cleans.plan
        if journal is not None and any(entry.plan == begun for entry in journal.unfinished()):
            say("Some of it is done. To finish it or to clean up: python cli.py endpoints unfinished")
        raise
    for sentence in outcome.kept:
        say(sentence)
    if outcome.recovered:
        say("AWS's reply was lost on its way, but a second look shows that it was done.")
    return outcome


def confirm_and_execute(
    clients: Clients, plan: Plan, *, yes: bool, dry_run: bool, as_json: bool, journal: Journal | None = None
) -> bool:
    """Show a plan, ask, and do it; whether it was done. Raises Exit where the answer is no, AwsError."""
    if not confirmed(plan, yes=yes, dry_run=dry_run, as_json=as_json):
        return False
    outcome = execute_plan(clients, plan, journal=journal)
    if as_json:
        print_json(**plan.to_dict(), done=True, recovered=outcome.recovered)
    return True


def journal(*, sandbox: bool = False) -> Journal:
    """Where changes are written down before they begin. sandbox: the sandbox's, whatever the mode is."""
    from core.aws.execute import journal_in

    settings = Settings.from_environ(os.environ)
    settings = replace(settings, mode="sandbox") if sandbox else settings
    return journal_in(settings.journal_dir, "the command line")
