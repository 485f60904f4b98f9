"""Open alerts, as every command prints them: what is the matter, whose it is, and what to run next."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from pipeline_project.commands.shared.console import facts, heading, paragraph, say
from pipeline_project.commands.shared.spans import ranges
from pipeline_project.domain.core.nights import NIGHT_IN_TEXT

if TYPE_CHECKING:
    from pipeline_project.domain.core.alerts import OpenAlert
    from pipeline_project.ports.ledger import Ledger

COMMANDS_LISTED = 3
NIGHT = re.compile(NIGHT_IN_TEXT)
_RUN = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}")


def alerts_of(ledger: Ledger, workflow: str) -> list[OpenAlert]:
    """The open alerts of one workflow, oldest first."""
    return [alert for alert in ledger.open_alerts() if alert.workflow == workflow]


def report_alerts(alerts: Iterable[OpenAlert]) -> None:
    """Prints open alerts, those with one message together."""
    groups: dict[tuple[str, str, str], list[OpenAlert]] = {}
    for alert in alerts:
        alike = _RUN.sub("…", NIGHT.sub("…", alert.message))
        groups.setdefault((alert.workflow, alert.owner, alike), []).append(alert)
    for (name, owner, alike), group in groups.items():
        several = len(group) > 1
        heading(f"ALERT {name}: {len(group)} of one kind" if several else f"ALERT {name}")
        paragraph(alike if several else group[0].message)
        nights = sorted({night for alert in group for night in NIGHT.findall(alert.key)})
        facts([*([("nights", ranges(nights))] if nights else []), ("owner", owner)])
        commands = list(dict.fromkeys(alert.next_command for alert in group))
        for command in commands[:COMMANDS_LISTED]:
            say(f"  next    {command}")
        if len(commands) > COMMANDS_LISTED:
            say(f"          and {len(commands) - COMMANDS_LISTED} more like these; --json lists them all")
