"""`pipeline clusters`: what it takes; the work is in `clusters.py`."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from pipeline_project.commands.shared.console import AsJson
from pipeline_project.commands.shared.options import Workflow, day, example, night_option


def register(app: typer.Typer) -> None:
    """Adds the command to `pipeline`."""

    @app.command(
        epilog=example(
            "pipeline clusters returns",
            "pipeline clusters returns --night 2025-03-27",
            "pipeline clusters returns --cluster c-b98ffa",
        ),
        short_help="What became of clusters, and which new ones grow too fast.",
    )
    def clusters(
        workflow: Workflow,
        night: Annotated[datetime | None, night_option("Every cluster of this night.", "--night")] = None,
        cluster: Annotated[str | None, typer.Option(metavar="CLUSTER", help="Every night of this cluster.")] = None,
        as_json: AsJson = False,
    ) -> None:
        """Tells births, splits, merges and deaths of clusters, and where the members of each came from or went.

        Without a night and a cluster: the last night, and every new cluster that was ever reported. Members and
        accounts are counted over the window; nobody is named.
        """
        from pipeline_project.commands.clusters import show_clusters

        raise typer.Exit(show_clusters(workflow, day(night), cluster, as_json))
