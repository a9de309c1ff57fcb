"""Show a plan in the terminal, ask for confirmation and execute it step by step."""

# ruff: noqa: PLC0415 - each function imports what it needs, so that --help is fast

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from commands.account import account_options, chosen_account
from commands.common import FAILED, STOPPED, print_json, sandbox_home, say, say_block, write_block
from core.errors import CoreError, InputError
from core.settings import Settings

if TYPE_CHECKING:
    from core.aws.connection import Clients
    from core.aws.execute import PlanOutcome
    from core.datasets.convert import Conversion
    from core.plans.journal import Journal, JournalEntry
    from core.plans.plan import ApiCall, Plan, StepState

DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the plan and its price; change nothing.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Show the plan and execute it without confirmation.")]

STATE_NOTES = {
    "recovered": "AWS's reply was lost. Segdeck checked: the call had succeeded.",
    "already": "Already done.",
    "kept": "Skipped: something else uses it.",
}
"""Notes on steps that ended otherwise than with a call that succeeded."""


def confirmed(plan: Plan | Conversion, *, yes: bool, dry_run: bool, as_json: bool) -> bool:
    """Show a plan and ask for confirmation; return False for a dry run. Raises Exit if the user declines."""
    if dry_run:
        if as_json:
            print_json(**plan.to_dict())
        else:
            write_block(plan)
        say("Dry run: nothing was changed.")
        return False
    say_block(plan)
    confirm(yes=yes)
    return True


def confirm(*, yes: bool) -> None:
    """Ask for confirmation unless `yes` is set. Raises Exit if the user declines, InputError without a terminal."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise InputError(
            "Cannot prompt for confirmation: stdin is not a terminal.",
            todo="Add --yes to confirm in advance.",
        )
    _prompt()


def _prompt() -> None:
    """Ask for confirmation. Raises Exit if the user declines or gives no answer."""
    code = FAILED
    try:
        if typer.confirm("Continue?", err=True):
            return
    except typer.Abort as abort:  # Ctrl-C, or the end of the input
        code = STOPPED if isinstance(abort.__context__, KeyboardInterrupt) else FAILED
        say("")
    say("Nothing was changed.")
    raise typer.Exit(code)


def execute_plan(
    clients: Clients,
    plan: Plan,
    *,
    journal: Journal | None = None,
    cut: JournalEntry | None = None,
    cleans: JournalEntry | None = None,
) -> PlanOutcome:
    """Execute a plan and report each step if it has several. Raises AwsError, InputError, JournalError.

    cut:    the interrupted change that this plan finishes.
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
            say(
                "Some steps are done. To finish the change or clean up: "
                "segdeck endpoints unfinished" + account_options()
            )
        raise
    for sentence in outcome.kept:
        say(sentence)
    if outcome.recovered:
        say("AWS's reply was lost. Segdeck checked: the call had succeeded.")
    return outcome


def confirm_and_execute(
    clients: Clients, plan: Plan, *, yes: bool, dry_run: bool, as_json: bool, journal: Journal | None = None
) -> bool:
    """Show a plan, ask and execute it; return whether it was executed. Raises AwsError; Exit if declined."""
    if not confirmed(plan, yes=yes, dry_run=dry_run, as_json=as_json):
        return False
    outcome = execute_plan(clients, plan, journal=journal)
    if as_json:
        print_json(**plan.to_dict(), done=True, recovered=outcome.recovered)
    return True


def journal(*, sandbox: bool = False) -> Journal:
    """Return the journal of the account that the options choose. Raises SettingsError.

    sandbox: that of the sandbox, also in mode `aws`, in which the options choose where a model comes from.
    """
    from core.aws.execute import journal_in

    settings = Settings.from_environ(os.environ)
    if sandbox and settings.mode == "aws":
        return journal_in(replace(settings, mode="sandbox").journal_dir, "the command line")
    home = None if settings.mode == "aws" else sandbox_home()
    return journal_in(settings.journal_dir_of(chosen_account(home).choice), "the command line")


def datasets_dir() -> Path:
    """Return the folder of the list of datasets of the account that the options choose. Raises SettingsError."""
    settings = Settings.from_environ(os.environ)
    home = None if settings.mode == "aws" else sandbox_home()
    return settings.datasets_dir_of(chosen_account(home).choice)


def runs_dir() -> Path:
    """Return the folder of the stored runs of the account that the options choose. Raises SettingsError."""
    settings = Settings.from_environ(os.environ)
    home = None if settings.mode == "aws" else sandbox_home()
    return settings.runs_dir_of(chosen_account(home).choice)
