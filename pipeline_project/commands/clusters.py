"""`pipeline clusters`: the history of a workflow's clusters, from the lake."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline_project.commands.shared.app_context import lake, settings, workflow
from pipeline_project.commands.shared.asked_nights import night_asked
from pipeline_project.commands.shared.console import AsJson, Exit, complain, emit, say, table
from pipeline_project.commands.shared.options import (
    Workflow,
    command_app,
    example,
    night_option,
)

if TYPE_CHECKING:
    import pyarrow as pa

_COLUMNS = ("night", "cluster", "what", "from or to", "born", "members", "before", "accounts", "alike", "photos shared")
_NUMBERS = _COLUMNS[5:]

app = command_app()


@app.command(
    epilog=example(
        "pipeline clusters returns",
        "pipeline clusters returns --night 2025-03-27",
        "pipeline clusters returns --cluster c-b98ffa",
    ),
)
def clusters(
    workflow: Workflow,
    night: Annotated[str | None, night_option("Every cluster of this night.", "--night")] = None,
    cluster: Annotated[str | None, typer.Option(metavar="CLUSTER", help="Every night of this cluster.")] = None,
    as_json: AsJson = False,
) -> None:
    """Tells births, splits, merges and deaths of clusters, and where the members of each came from or went.

    Without a night and a cluster: the last night, and every new cluster that was ever reported. Members and
    accounts are counted over the window; nobody is named.
    """
    raise typer.Exit(show_clusters(workflow, night, cluster, as_json))


def show_clusters(name: str, written: str | None, cluster: str | None, as_json: bool) -> int:
    """Prints the rows asked for; without any of both, the last night and what was reported so far."""
    spec = workflow(name)
    night = night_asked(spec, written)
    if spec.clusters is None:
        complain(f"{name} declares no `clusters`, so there are none; docs/workflows.md says how to declare them")
        return Exit.NOT_FOUND
    events = lake(settings()).read_span(name, "cluster_events", None, "9999-12-31")
    if events is None or not events.num_rows:
        complain(f"no history of clusters of {name} is written yet; run `pipeline nights {name}`")
        return Exit.NOT_FOUND
    shown, reported = chosen(events, night, cluster)
    if not shown:
        asked = " and ".join(
            filter(None, [f"the night {night}" if night else "", f"cluster {cluster}" if cluster else ""])
        )
        complain(f"nothing is known of {asked}; run `pipeline clusters {name}` to see which there are")
        return Exit.NOT_FOUND
    if as_json:
        emit({"workflow": name, "events": shown, "reported": reported})
        return Exit.DONE
    table("", _COLUMNS, [_cells(row) for row in shown], right=_NUMBERS)
    if reported:
        table("Reported: new, and growing faster than new clusters do", _COLUMNS, map(_cells, reported), right=_NUMBERS)
    else:
        say("\nNo new cluster was reported.")
    return Exit.DONE


def chosen(
    events: pa.Table, night: str | None, cluster: str | None
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The rows to be shown, and those of them that were reported.

    Args:
        events: `cluster_newcomers.EVENTS` in night order.
        night, cluster: only these; with neither, the last night, and whatever was reported on any.
    """
    rows = events.to_pylist()
    if night is None and cluster is None:
        last = rows[-1]["night"]
        return [row for row in rows if row["night"] == last], [row for row in rows if row["reported"]]
    shown = [row for row in rows if night in (None, row["night"]) and cluster in (None, row["cluster"])]
    return shown, [row for row in shown if row["reported"]]


def _cells(row: dict[str, Any]) -> Sequence[Any]:
    return (
        row["night"],
        row["cluster"],
        row["kind"] + ("  reported" if row["reported"] else ""),
        ", ".join(row["others"] or ()),
        row["born"],
        row["members"],
        row["before"],
        row["accounts"],
        row["alike"],
        row["shared_photos"],
    )
