"""`pipeline status`: what each workflow has done."""

from __future__ import annotations

from typing import Any

from pipeline_project.commands.console import Exit, emit, say, table
from pipeline_project.commands.ground import Ground, prepare
from pipeline_project.domain.policy import ASK_PERSON
from pipeline_project.spec import WorkflowSpec
from pipeline_project.spec.load import load_all


def show_status(as_json: bool) -> int:
    """Nights, decisions, champion, quarantine and open alerts of every workflow."""
    ground = prepare()
    from resources.doors import open_ledger

    loaded = load_all(ground.settings.workflow_folders)
    alerts = open_ledger(ground.settings).open_alerts()
    found = [_workflow(ground, spec) for spec in loaded.specs.values()]
    broken = [str(mistake) for mistake in loaded.broken]
    if as_json:
        emit({"workflows": found, "alerts": alerts, "broken": broken})
        return Exit.DONE
    columns = ("workflow", "nights decided", "last", "decided", "to people", "quarantine", "champion")
    table("Workflows", columns, [tuple(row.values()) for row in found], right=columns[3:6])
    for text in broken:
        say(f"Not loaded: {text}")
    for alert in alerts:
        say(f"ALERT {alert['workflow']}: {alert['message']} (owner {alert['owner']})")
        say(f"      next: {alert['next_command']}")
    return Exit.DONE


def _workflow(ground: Ground, spec: WorkflowSpec) -> dict[str, Any]:
    from resources.doors import open_lake, open_ledger

    ledger, lake = open_ledger(ground.settings), open_lake(ground.settings)
    nights = ledger.decided_nights(spec.name)
    counts = ledger.counts(spec.name)
    quarantine = lake.read_span(spec.name, "quarantine", None, "9999-12-31", ["line"])
    champion = ledger.champion(spec.name, "9999-12-31")
    asked = int(counts.loc[counts["option"] == ASK_PERSON, "cases"].sum())
    return {
        "workflow": spec.name,
        "nights_decided": len(nights),
        "last": nights[-1] if nights else None,
        "decided": int(counts["cases"].sum()),
        "to_people": asked,
        "quarantine": 0 if quarantine is None else quarantine.num_rows,
        "champion": f"{champion.version}, trained {champion.night}" if champion else "none yet",
    }
