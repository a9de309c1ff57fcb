"""The commands that check the setup and create an execution role: `doctor` and `create-role`."""

# ruff: noqa: PLC0415 - each function imports what it needs, so that --help is fast

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from commands.common import (
    FAILED,
    AsJson,
    Debug,
    connected,
    print_document,
    print_error,
    reporting,
    say,
    write,
    write_block,
)
from commands.plans import DryRun, Yes, confirm_and_execute, journal
from core.text import plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from core.access.check import Check

WIDTH = len("problem")
INDENT = " " * (WIDTH + 2)

Bucket = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="Bucket of your data and models, or s3://NAME/PREFIX to limit access to a prefix.",
    ),
]


def doctor(
    *,
    role: Annotated[
        str,
        typer.Option(
            metavar="ARN",
            help="Execution role name or ARN. Default: the only role that SageMaker can assume.",
        ),
    ] = "",
    bucket: Bucket = "",
    instance_type: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[USE=]TYPE",
            help="Instance type whose quota is checked, for example ml.g5.xlarge or training=ml.g5.xlarge; "
            "USE is training, spot, hosting or transform. Repeat for several.",
        ),
    ] = None,
    policy: Annotated[
        bool,
        typer.Option("--policy", help="Print only the least-privilege IAM policy for Segdeck users."),
    ] = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Check credentials, permissions, execution role, bucket, quotas, container image and prices.

    Nothing is changed. Each check is ok, a warning, a problem or unknown, with what to do. The exit code is 1 if any
    is a problem.
    """
    with reporting(debug), connected() as clients:
        from core.access.check import has_problem
        from core.access.target import parse_target
        from core.aws.doctor import check_setup
        from core.errors import CoreError

        target = parse_target(role, bucket, instance_type or (), sandbox=clients.connection.is_sandbox)
        report = check_setup(clients, target)
        if policy and report.policy is not None:
            print_document(report.policy, indent=2)
            return
        if policy:
            identity = next(check for check in report.checks if check.status == "problem")
            raise CoreError(
                "The policy needs the account, which is unknown.", why=identity.found, todo=identity.todo
            )
        if as_json:
            print_document([check.to_dict() for check in report.checks])
        else:
            for check in report.checks:
                _write(check)
        _summary(report.checks)
        if has_problem(report.checks):
            raise typer.Exit(FAILED)


def new_role(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Name of the new role.")
    ] = "SegdeckExecutionRole",
    *,
    bucket: Bucket = "",
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Create an execution role for SageMaker with a least-privilege policy, after confirmation.

    The role may read and write the bucket and use its KMS key, write logs and metrics, and pull the image.
    """
    with reporting(debug), connected() as clients:
        from core.access.target import parse_target
        from core.aws.doctor import plan_role

        target = parse_target(bucket=bucket, sandbox=clients.connection.is_sandbox)
        plan = plan_role(clients, name, target)
        if confirm_and_execute(
            clients, plan, yes=yes, dry_run=dry_run, as_json=as_json, journal=None if dry_run else journal()
        ):
            say(
                f"Created execution role {name}. To check it: segdeck doctor --role {name} --bucket {target.bucket}"
            )


def _write(check: Check) -> None:
    """Print one check: a line, and below it what to do."""
    from core.access.check import policy_text

    write(f"{check.status:<{WIDTH}}  {check.title}: {check.found}")
    if check.status == "ok":
        return
    if check.todo:
        write(f"{INDENT}To do: {check.todo}")
    if check.link:
        write(f"{INDENT}Console: {check.link}")
    if check.command:
        write(f"{INDENT}Command: {check.command}")
    elif check.policy is not None:
        write(f"{INDENT}Policy:")
        write_block("\n".join(f"{INDENT}{line}" for line in policy_text(check.policy).splitlines()))


def _summary(checks: Sequence[Check]) -> None:
    """Print on standard error how many checks are not ok."""
    problems = [check.title for check in checks if check.status == "problem"]
    others = [
        plural(count, noun, nouns)
        for status, noun, nouns in (("warning", "warning", ""), ("unknown", "unknown", "unknown"))
        if (count := sum(check.status == status for check in checks))
    ]
    more = f"Also {' and '.join(others)}." if others else ""
    if problems:
        print_error(
            f"{plural(len(problems), 'problem')}: {', '.join(problems)}.", 'See "To do" above for each.', more
        )
    else:
        say(f"No problems found in {plural(len(checks), 'check')}. {more}".strip())
