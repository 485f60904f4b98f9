"""What turns out to be true: findings that become known days later, and the truth that the pipeline never reads."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from pathlib import Path

from pipeline_project.sample.claims import LABELS, Claim, claims_of
from pipeline_project.sample.seasons import drifted
from resources.files.small_files import write_whole

#: A finding becomes known at most so many days after its claim, a correction included.
LONGEST_WAIT = 40
NEVER_INSPECTED = 0.05
CORRECTED = 0.025
MISTAKEN_FOR = {"resellable": "worn", "defective": "resellable", "worn": "resellable", "fraud": "defective"}


@dataclass(frozen=True)
class InspectedClaim:
    claim_id: str
    finding: str
    inspected_at: datetime


def findings_of(claim: Claim) -> list[InspectedClaim]:
    """What the warehouse says of a claim: usually once, 3 to 14 days later; a few are corrected, some never seen."""
    rng = claim.rng("finding")
    if rng.random() < NEVER_INSPECTED:
        return []
    days = 3 + min(int(rng.gammavariate(2.0, 2.0)), 11)
    first = _at_work(claim.night + timedelta(days=days), rng.randrange(9 * 60))
    if rng.random() >= CORRECTED:
        return [InspectedClaim(claim.claim_id, claim.label, first)]
    mistaken = MISTAKEN_FOR[claim.label]
    later = _at_work(first.date() + timedelta(days=rng.randrange(4, 18)), rng.randrange(9 * 60))
    return [InspectedClaim(claim.claim_id, mistaken, first), InspectedClaim(claim.claim_id, claim.label, later)]


def _at_work(day: date, minute: int) -> datetime:
    """Some minute between seven and four, and not on a Sunday."""
    day += timedelta(days=day.weekday() == 6)
    return datetime.combine(day, time(7)) + timedelta(minutes=minute)


def findings_on(seed: int, per_night: int, night: date, first: date) -> list[InspectedClaim]:
    """The findings that became known on a night, about claims of nights since `first`, in order of time."""
    span = min((night - first).days, LONGEST_WAIT)
    earlier = (night - timedelta(days=back) for back in range(span, 0, -1))
    findings = [finding for before in earlier for finding in _findings_about(seed, per_night, before).get(night, ())]
    return sorted(findings, key=lambda finding: (finding.inspected_at, finding.claim_id))


@lru_cache(maxsize=2 * LONGEST_WAIT)
def _findings_about(seed: int, per_night: int, night: date) -> dict[date, list[InspectedClaim]]:
    """The findings about one night's claims, by the night on which they became known."""
    by_night: dict[date, list[InspectedClaim]] = {}
    for claim in claims_of(seed, per_night, night):
        for finding in findings_of(claim):
            by_night.setdefault(finding.inspected_at.date(), []).append(finding)
    return by_night


TRUTH = ("night", "claim_id", "label", "kind", "ring", "drift", "why")
DIRT = ("night", "line", "kind", "expected")


def truth_rows(claims: Iterable[Claim]) -> list[list[str]]:
    """One row of `TRUTH` for each claim; `kind` is the kind of fraud or of wear, else empty."""
    return [
        [
            claim.night.isoformat(),
            claim.claim_id,
            claim.label,
            "" if claim.kind in LABELS else claim.kind,
            claim.ring.name if claim.ring else "",
            "after" if drifted(claim.night) else "before",
            claim.why,
        ]
        for claim in claims
    ]


def merge_rows(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]], nights: Iterable[str]) -> None:
    """Replaces the rows of these nights in a CSV file whose first column is the night; other nights stay."""
    replaced = set(nights)
    merged: list[Sequence[str]] = [*rows]
    if path.exists():
        with path.open(encoding="utf-8", newline="") as file:
            merged += [row for row in list(csv.reader(file))[1:] if row[0] not in replaced]
    merged.sort(key=lambda row: row[0])
    path.parent.mkdir(parents=True, exist_ok=True)
    written = io.StringIO(newline="")
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(merged)
    write_whole(path, written.getvalue())
