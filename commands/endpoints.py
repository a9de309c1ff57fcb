"""The commands `endpoints ...`: list, show, scale and delete endpoints. `commands.deploy` has those that deploy."""

# ruff: noqa: PLC0415 - each command imports what it needs, so that --help is fast

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from commands import deploy as deploying
from commands import endpoint_view as view
from commands.common import (
    AsJson,
    CommandGroup,
    Debug,
    connected,
    open_backend,
    print_json,
    print_table,
    reporting,
    say,
)
from commands.plans import DryRun, Yes, confirm_and_execute, confirmed, execute_plan, journal
from commands.waiting import print_result, wait_until_settled
from core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from core.aws.connection import Clients
    from core.endpoints.detail import EndpointDetail
    from core.endpoints.endpoint import Endpoint
    from core.plans.journal import JournalEntry
    from core.plans.scale import VariantChange

endpoints = CommandGroup(help="Deploy, inspect, scale and delete endpoints.")
endpoints.command("deploy")(deploying.deploy)
endpoints.command("update")(deploying.update)
endpoints.command("serve-here")(deploying.serve_here)

Name = Annotated[str, typer.Argument(metavar="ENDPOINT", help="Endpoint name.")]


@endpoints.command("list")
def list_endpoints(
    *,
    limit: Annotated[
        int, typer.Option(metavar="N", min=1, max=1000, help="Maximum number of endpoints.")
    ] = 100,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """List endpoints with health, traffic and cost, those that need attention first."""
    with reporting(debug):
        with connected() as clients:
            from core.aws.prices import prices
            from core.cost.hosting import endpoint_cost

            shown, complete = view.fleet(clients, limit)
            table, now = prices(clients), datetime.now(UTC)
        costs = {row.endpoint.name: endpoint_cost(row.endpoint, table, now) for row in shown}
        rows = [view.summary(row, costs[row.endpoint.name]) for row in shown]
        total = view.sum_costs(shown, costs, table, complete=complete)
        if as_json:
            cost, idle = total.to_dict(), list(total.idle)
            print_json(endpoints=rows, complete=complete, cost=cost, idle=idle, prices=table.attribution)
            return
        print_table("Endpoints", [view.table_row(row, sandbox=table.sandbox) for row in rows])
        if rows:
            total.show()
        if not complete:
            say("There are more endpoints. To list them, raise --limit.")


@endpoints.command()
def show(name: Name, as_json: AsJson = False, debug: Debug = False) -> None:
    """Show one endpoint: health, traffic, cost, and the models it serves with their origin."""
    with reporting(debug):
        with connected() as clients:
            from core.aws.endpoint_detail import endpoint_detail
            from core.aws.prices import prices
            from core.cost.hosting import endpoint_cost

            detail = endpoint_detail(clients, name)
            table = prices(clients)
            row = view.endpoint_rows(clients, [detail.endpoint])[0]
        cost = endpoint_cost(detail.endpoint, table, datetime.now(UTC))
        document = view.summary(row, cost) | view.details(detail, cost)
        document["unfinished"] = [
            view.entry_row(entry) for entry in journal().unfinished() if _touches(entry, name)
        ]
        document["prices"] = table.attribution
        for note in detail.notes:
            say(note)
        if as_json:
            print_json(**document)
        else:
            view.print_details(document, sandbox=table.sandbox)


@endpoints.command()
def scale(
    name: Name,
    *,
    variant: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[=WEIGHT]", help="Variant, and its traffic weight; repeat for each variant."
        ),
    ] = None,
    count: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Number of instances of the variant.")
    ] = None,
    low: Annotated[
        int | None,
        typer.Option("--min", metavar="N", min=1, help="Autoscaling: minimum number of instances."),
    ] = None,
    high: Annotated[
        int | None,
        typer.Option("--max", metavar="N", min=1, help="Autoscaling: maximum number of instances."),
    ] = None,
    target: Annotated[
        float | None,
        typer.Option(metavar="N", help="Autoscaling: target invocations per instance per minute."),
    ] = None,
    no_autoscale: Annotated[
        bool, typer.Option("--no-autoscale", help="Turn autoscaling off; keep the instances.")
    ] = False,
    no_wait: deploying.NoWait = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Change traffic weights, the number of instances, or autoscaling.

    Specify one of: --variant NAME=WEIGHT and/or --count; --min, --max and --target; --no-autoscale.
    """
    named = [_weighted(text) for text in variant or ()]
    follows = any(value is not None for value in (low, high, target))
    kinds = sum((follows, no_autoscale, count is not None or any(weight is not None for _, weight in named)))
    if kinds != 1:
        raise typer.BadParameter(
            "Specify one of: --variant NAME=WEIGHT and/or --count; --min, --max and --target; --no-autoscale."
        )
    if follows and None in (low, high, target):
        raise typer.BadParameter("Give --min, --max and --target together.")
    with reporting(debug), open_backend() as backend:
        from core.aws.endpoint_detail import endpoint_resources
        from core.aws.prices import prices
        from core.endpoints.detail import Scaling
        from core.plans.scale import plan_autoscale, plan_scale, plan_stop_autoscale

        detail = endpoint_resources(backend.clients, name)
        endpoint = detail.endpoint
        if no_autoscale:
            plan = plan_stop_autoscale(endpoint, _scaled_variant(detail, _variant_to_scale(endpoint, named)))
        elif low is not None and high is not None:
            scaling = Scaling(_variant_to_scale(endpoint, named), low, high, target)
            plan = plan_autoscale(endpoint, scaling, prices(backend.clients))
        else:
            plan = plan_scale(endpoint, _changes(endpoint, named, count), prices(backend.clients))
        done = confirm_and_execute(
            backend.clients, plan, yes=yes, dry_run=dry_run, as_json=as_json, journal=journal()
        )
        if done and plan.verb == "scale" and not no_wait:
            print_result(wait_until_settled(backend, name, config=endpoint.config))
        elif done:
            say(plan.done_in_words)


@endpoints.command()
def delete(
    names: Annotated[list[str], typer.Argument(metavar="ENDPOINT", help="Names of one or more endpoints.")],
    *,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Delete endpoints, with the configurations and models that nothing else uses. Artifacts stay in S3."""
    with reporting(debug), connected() as clients:
        from core.aws.endpoint_detail import endpoint_resources, users
        from core.plans.delete import plan_delete

        details = [endpoint_resources(clients, name) for name in dict.fromkeys(names)]
        plan = plan_delete(details, users(clients, details))
        if confirm_and_execute(clients, plan, yes=yes, dry_run=dry_run, as_json=as_json, journal=journal()):
            say(f"Deleted: {', '.join(detail.name for detail in details)}.")


@endpoints.command()
def unfinished(
    plans: Annotated[
        list[str] | None, typer.Argument(metavar="ID", help="IDs of the changes. Default: all.")
    ] = None,
    *,
    finish: Annotated[bool, typer.Option("--finish", help="Run their remaining steps.")] = False,
    clean: Annotated[bool, typer.Option("--clean-up", help="Remove what they created.")] = False,
    leave: Annotated[
        bool,
        typer.Option(
            "--leave", help="Leave them as they are: remove them from this list and change nothing."
        ),
    ] = False,
    yes: Yes = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """List interrupted changes, and finish them or clean up after them."""
    if finish + clean + leave > 1:
        raise typer.BadParameter("Specify at most one of --finish, --clean-up and --leave.")
    with reporting(debug):
        entries = _chosen(plans or ())
        if leave:
            for entry in entries:
                journal().dismiss(entry)
        elif (finish or clean) and entries:
            with connected() as clients:
                for entry in entries:
                    (_finish if finish else _clean_up)(clients, entry, yes=yes)
        if leave or finish or clean:
            now = {entry.id: entry for entry in journal().entries()}
            entries = [now.get(entry.id, entry) for entry in entries]
        rows = [view.entry_row(entry) for entry in entries]
        if as_json:
            print_json(plans=rows)
        elif not finish and not clean and not leave:
            shown = ("plan", "change", "of", "outcome", "steps")
            table = [{key: row[key] for key in shown} | {"steps": "\n".join(row["steps"])} for row in rows]
            print_table("Interrupted changes", table)


# Interrupted changes.


def _chosen(ids: Sequence[str]) -> list[JournalEntry]:
    """Return the unfinished changes with these IDs, or all. Raises InputError for an unknown ID."""
    by_id = {entry.id: entry for entry in journal().unfinished()}
    missing = [name for name in ids if name not in by_id]
    if missing:
        raise InputError(
            f"No interrupted change has the ID {missing[0]}.",
            todo="To list them: segdeck endpoints unfinished",
        )
    return [by_id[name] for name in ids] if ids else list(by_id.values())


def _finish(clients: Clients, entry: JournalEntry, *, yes: bool) -> None:
    if confirmed(entry.plan, yes=yes, dry_run=False, as_json=False):
        execute_plan(clients, entry.plan, journal=journal(), cut=entry)
        say(entry.plan.done_in_words)


def _clean_up(clients: Clients, entry: JournalEntry, *, yes: bool) -> None:
    from core.aws.execute import check_account
    from core.plans.delete import clean_up

    check_account(clients, entry)
    plan = clean_up(entry.plan, entry.states)
    if confirmed(plan, yes=yes, dry_run=False, as_json=False):
        outcome = execute_plan(clients, plan, journal=journal(), cleans=entry)
        rest = ", except for what is named above" if outcome.kept else ""
        say(f"Removed what the interrupted change to {entry.plan.target} created{rest}.")


# What to scale.


def _weighted(text: str) -> tuple[str, float | None]:
    """Parse `name=2.5` as ("name", 2.5) and `name` as ("name", None). Raises BadParameter."""
    name, equals, weight = text.partition("=")
    try:
        value = float(weight) if equals else None
    except ValueError:
        value = -1.0
    if not name or (value is not None and not 0 <= value < float("inf")):
        raise typer.BadParameter(f"{text!r} is not of the form NAME or NAME=WEIGHT.", param_hint="--variant")
    return name, value


def _variant_to_scale(endpoint: Endpoint, named: list[tuple[str, float | None]]) -> str:
    """Return the named variant, or else the only one. Raises InputError."""
    names = [name for name, _ in named] or [variant.name for variant in endpoint.variants]
    if len(names) != 1:
        raise InputError(
            f"The endpoint {endpoint.name} has several variants.",
            todo=f"Add --variant with one of: {', '.join(names)}.",
        )
    return names[0]


def _scaled_variant(detail: EndpointDetail, variant: str) -> str:
    """Return the variant. Raises InputError if it is known to have no autoscaling."""
    if detail.scaling_known and variant not in {scaling.variant for scaling in detail.scaling}:
        raise InputError(
            f"The variant {variant} of {detail.name} has no autoscaling.",
            todo="There is nothing to turn off.",
        )
    return variant


def _changes(
    endpoint: Endpoint, named: list[tuple[str, float | None]], count: int | None
) -> list[VariantChange]:
    """Return the changes of weights, or of the number of instances of one variant."""
    from core.plans.scale import VariantChange

    if count is None:
        return [VariantChange(name, weight) for name, weight in named if weight is not None]
    chosen = _variant_to_scale(endpoint, named)
    return [VariantChange(chosen, dict(named).get(chosen), count)]


def _touches(entry: JournalEntry, name: str) -> bool:
    """Return whether a change concerns this endpoint."""
    return any(step.params.get("EndpointName") == name for step in entry.plan.steps)
