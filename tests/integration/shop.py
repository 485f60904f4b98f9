"""A small workflow of its own and the files that a shop would drop for it: few rows, no photos, a clear pattern."""

from __future__ import annotations

import csv
import random
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

FIRST, DECIDE_FROM = "2025-03-01", "2025-03-04"
HEADER = ("case", "at", "customer", "amount", "kind", "note")
NOTES = ("broken on arrival", "too small", "changed my mind", "empty box", "never arrived")

Row = dict[str, str]

#: For a workflow whose decisions lead to actions, two of them in order.
ACTING_OPTIONS = {
    "pay": {"title": "Pay", "actions": ["notice", "payment"], "costs": {"honest": 0, "fraud": "amount"}},
    "assess": {
        "title": "Send an assessor",
        "actions": ["visit"],
        "costs": {"honest": 80, "fraud": "80 + 0.1 * amount"},
    },
}
ACTIONS: dict[str, Any] = {
    "live": True,
    "destinations": {"drop": {"kind": "files", "folder": "out"}},
    "kinds": {
        "notice": {"destination": "drop", "payload": ["kind"]},
        "payment": {"destination": "drop", "money": "amount", "final": True},
        "visit": {"destination": "drop"},
    },
}


def night(offset: int) -> str:
    """The night `offset` nights after the first."""
    return (date.fromisoformat(FIRST) + timedelta(days=offset)).isoformat()


def spec(name: str, text: bool = False, **changes: Any) -> dict[str, Any]:
    """The workflow as its YAML file says it: three nights of warm-up, then every night is decided."""
    fields: dict[str, Any] = {
        "case": {"type": "identifier", "role": "id"},
        "at": {"type": "time", "role": "time"},
        "customer": {"type": "identifier", "role": "subject"},
        "amount": {"type": "number", "role": "amount", "minimum": 0, "maximum": 5000},
        "kind": {"type": "category", "allowed": ["glass", "theft"]},
    }
    if text:
        fields["note"] = {"type": "text", "required": False}
    return {
        "workflow": name,
        "title": f"Claims of {name}",
        "owners": ["team:claims-desk"],
        "nights": {"time_zone": "Europe/Berlin", "first": FIRST, "decide_from": DECIDE_FROM},
        "source": {"kind": "files", "folder": "in", "pattern": "claims/{night}*.csv"},
        "fields": fields,
        "labels": ["honest", "fraud"],
        "outcome": {
            "kind": "files",
            "folder": "in",
            "pattern": "outcomes/{night}*.csv",
            "case_column": "case",
            "label_column": "verdict",
            "known_at_column": "known_at",
        },
        "model": {
            "history": [{"by": "customer"}],
            "retrain": {"every": "never", "minimum_outcomes": 20, "minimum_per_label": 3},
        },
        "options": {
            "pay": {"title": "Pay", "costs": {"honest": 0, "fraud": "amount"}},
            "assess": {"title": "Send an assessor", "costs": {"honest": 80, "fraud": "80 + 0.1 * amount"}},
        },
        "review": {"cost": 15, "capacity": "20%", "exploration": 0.05},
        **changes,
    }


def rows(of_night: str, count: int = 24) -> list[Row]:
    """Cases of one night; the same night always has the same ones."""
    draw = random.Random(of_night)
    start = datetime.fromisoformat(of_night)
    return [
        {
            "case": f"C-{of_night}-{number:03}",
            "at": (start + timedelta(minutes=draw.randrange(60 * 8, 60 * 20))).isoformat(sep=" "),
            "customer": f"K-{draw.randrange(12)}",
            "amount": f"{draw.uniform(20, 2000):.2f}",
            "kind": draw.choice(["glass", "theft"]),
            "note": draw.choice(NOTES),
        }
        for number in range(count)
    ]


def verdict(row: Mapping[str, str]) -> str:
    """The truth: large thefts are fraud, but for a few."""
    suspicious = row["kind"] == "theft" and float(row["amount"]) > 700
    return "fraud" if suspicious != (random.Random(row["case"]).random() < 0.04) else "honest"


def drop_cases(folder: Path, of_night: str, content: Iterable[Mapping[str, str]], part: str = "") -> Path:
    """One file of cases, as the source expects it."""
    return _write(folder / "in" / "claims" / f"{of_night}{part}.csv", HEADER, content)


def drop_outcomes(
    folder: Path,
    arrived: str,
    content: Iterable[Mapping[str, str]],
    known_at: str,
    truth: Callable[[Mapping[str, str]], str] = verdict,
    part: str = "",
) -> Path:
    """The truth about cases, in a file of the night on which it arrived."""
    told = [{"case": row["case"], "verdict": truth(row), "known_at": known_at} for row in content]
    return _write(folder / "in" / "outcomes" / f"{arrived}{part}.csv", ("case", "verdict", "known_at"), told)


def drop_nights(folder: Path, nights: Iterable[str], count: int = 24, outcomes: bool = True) -> None:
    """Cases of these nights, and each night's truth, known at the night's last hour."""
    for each in nights:
        drop_cases(folder, each, rows(each, count))
        if outcomes:
            drop_outcomes(folder, each, rows(each, count), f"{each}T23:00:00")


def write_spec(folder: Path, content: Mapping[str, Any]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "in" / "claims").mkdir(parents=True, exist_ok=True)
    path = folder / f"{content['workflow']}.yaml"
    path.write_text(yaml.safe_dump(dict(content), sort_keys=False), encoding="utf-8")
    return path


def _write(path: Path, header: Iterable[str], content: Iterable[Mapping[str, str]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(header), extrasaction="ignore")
        writer.writeheader()
        writer.writerows(content)
    return path
