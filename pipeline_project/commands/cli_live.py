"""The commands of the way back: `rollback`, `recall`."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from pipeline_project.commands.shared.console import AsJson
from pipeline_project.commands.shared.options import Workflow, day, example, night_option


def register(app: typer.Typer) -> None:
    """Adds the commands to `pipeline`."""

    @app.command(
        epilog=example(
            'pipeline rollback returns --reason "complaints since Monday"',
            'pipeline rollback returns --review-all --reason "recall of a supplier"',
            'pipeline rollback returns --open --reason "the new model was signed"',
        ),
        short_help="Goes back to an earlier model, or to people.",
    )
    def rollback(
        workflow: Workflow,
        to: Annotated[
            str | None, typer.Option(metavar="VERSION", help="To this version, which decided before.")
        ] = None,
        review_all: Annotated[bool, typer.Option("--review-all", help="People decide everything.")] = False,
        reopen: Annotated[bool, typer.Option("--open", help="The policy decides again.")] = False,
        reason: Annotated[str, typer.Option(metavar="WORDS", help="Why; it stands in the audit chain.")] = "",
        as_json: AsJson = False,
    ) -> None:
        """Ends the rollout on its way or, without one, goes back to the champion before, from the next night on.

        Actions above the spec's `rollout.hold_above` that were not sent yet are held.
        """
        from pipeline_project.commands.rollback import run_rollback

        if (to is not None) + review_all + reopen > 1:
            raise typer.BadParameter("--to, --review-all and --open exclude each other")
        raise typer.Exit(run_rollback(workflow, to, review_all, reopen, reason, as_json))

    @app.command(
        epilog=example(
            "pipeline recall returns --model 7",
            "pipeline recall returns --night 2025-03-01 --data repaired",
            'pipeline recall returns --model 7 --apply --reason "bad data"',
        ),
        short_help="Decides again what a model, a policy or a night touched.",
    )
    def recall(
        workflow: Workflow,
        model: Annotated[str | None, typer.Option(metavar="VERSION", help="Decisions made with this model.")] = None,
        policy: Annotated[
            str | None, typer.Option(metavar="HASH", help="Decisions made under the spec with this hash.")
        ] = None,
        night: Annotated[datetime | None, night_option("Decisions of this night.", "--night")] = None,
        data: Annotated[
            str | None,
            typer.Option(
                metavar="repaired|FILE",
                help="With --night: decide on the night's data as they are now, repairs included, or on a file of "
                "corrected rows, instead of the data it was decided on.",
            ),
        ] = None,
        apply: Annotated[
            bool,
            typer.Option("--apply/--dry-run", help="Take back what would be decided otherwise, or change nothing."),
        ] = False,
        reason: Annotated[str, typer.Option(metavar="WORDS", help="Why; needed with --apply.")] = "",
        as_json: AsJson = False,
    ) -> None:
        """Lists every decision touched, decided again by the model that decides now.

        With --apply the actions of those that would be decided otherwise are taken back, once: what has not left is
        cancelled, what has is compensated, and what cannot be undone is named. Without --data a night of bad data is
        decided on the same bad data again.
        """
        from pipeline_project.commands.recall import run_recall

        chosen = day(night)
        if sum(each is not None for each in (model, policy, chosen)) != 1:
            raise typer.BadParameter("give one of --model, --policy and --night")
        if data is not None and chosen is None:
            raise typer.BadParameter("--data goes with --night: it is one night's data that are corrected")
        if model is not None:
            code = run_recall(workflow, "model", model, apply, reason, as_json)
        elif policy is not None:
            code = run_recall(workflow, "policy", policy, apply, reason, as_json)
        else:
            code = run_recall(workflow, "night", chosen.isoformat() if chosen else "", apply, reason, as_json, data)
        raise typer.Exit(code)
