"""Writes sample nights as files of the sort a shop drops in a folder, and the truth outside of it."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from pipeline_project.sample.claims import Claim, claims_of
from pipeline_project.sample.dirt import (
    COLUMNS,
    EXPECTED,
    PHOTO_KINDS,
    SampleLine,
    plan,
    soiled,
    soiled_photo,
)
from pipeline_project.sample.items import FIRST
from pipeline_project.sample.photos import Shot, draw
from pipeline_project.sample.shots import photo_name, photos_of
from pipeline_project.sample.truth import DIRT, TRUTH, findings_on, merge_rows, truth_rows
from pipeline_project.sample.words import write_message
from resources.files.small_files import write_whole


@dataclass(frozen=True)
class SampleSummary:
    """What was written.

    Attributes:
        claims: true claims; the files have a few more rows, the copies.
        rows: lines of all claims.csv, headers not counted.
        findings: lines of all outcomes.
        labels: claims by what is true of them.
        dirt: dirty rows by kind.
        truth: the folder with returns.csv and dirt.csv, which no workflow reads.
    """

    nights: int
    claims: int
    rows: int
    photos: int
    findings: int
    labels: dict[str, int]
    dirt: dict[str, int]
    truth: Path


@dataclass
class _Night:
    """One night, ready to be written."""

    night: date
    claims: tuple[Claim, ...]
    rows: list[SampleLine] = field(default_factory=list)
    photos: int = 0


def make_sample(
    folder: Path,
    nights: Sequence[date],
    per_night: int = 200,
    seed: int = 7,
    progress: Callable[[int, int], None] | None = None,
    dirt: bool = True,
    first: date = FIRST,
) -> SampleSummary:
    """Writes the claims, photos and outcomes of `nights` below `folder`, and their truth to `folder`/../truth.

    The same seed, size and night always give the same bytes, whichever nights are made together; a night that is
    there already is written again. Outcomes tell of claims of all nights since `first`, made or not.

    Args:
        per_night: claims a night on average.
        progress: called with (nights done, nights asked).
        dirt: with dirty rows, about two in a hundred.
    """
    wanted = sorted(set(nights))
    truth = folder.parent / "truth"
    claim_rows: list[list[str]] = []
    dirty: list[list[str]] = []
    labels: Counter[str] = Counter()
    rows = photos = findings = 0
    for done, night in enumerate(wanted, start=1):
        made = _write_claims(folder, night, per_night, seed, dirt)
        findings += _write_outcomes(folder, night, per_night, seed, first)
        claim_rows += truth_rows(made.claims)
        dirty += _dirty_lines(made)
        labels.update(claim.label for claim in made.claims)
        rows, photos = rows + len(made.rows), photos + made.photos
        if progress:
            progress(done, len(wanted))
    stamps = [night.isoformat() for night in wanted]
    merge_rows(truth / "returns.csv", TRUTH, claim_rows, stamps)
    merge_rows(truth / "dirt.csv", DIRT, dirty, stamps)
    kinds = Counter(line[2] for line in dirty)
    return SampleSummary(len(wanted), len(claim_rows), rows, photos, findings, dict(labels), dict(kinds), truth)


def _write_claims(folder: Path, night: date, per_night: int, seed: int, dirt: bool) -> _Night:
    made = _Night(night, claims_of(seed, per_night, night))
    kinds = plan(seed, per_night, night) if dirt else {}
    place = folder / "claims" / night.isoformat()
    (place / "photos").mkdir(parents=True, exist_ok=True)
    for claim in made.claims:
        kind = kinds.get(claim.number)
        photos = _photos(claim, kind)
        for name, content in photos:
            if content is not None:
                (place / "photos" / name).write_bytes(content)
                made.photos += 1
        cells = _cells(claim, [f"claims/{night.isoformat()}/photos/{name}" for name, _ in photos])
        made.rows += soiled(claim, cells, kind, seed, per_night) if kind else [SampleLine(cells)]
    # The table comes last and at once: whoever sees it finds its photos.
    _write_table(place / "claims.csv", COLUMNS, [row.cells for row in made.rows])
    return made


def _photos(claim: Claim, kind: str | None) -> list[tuple[str, bytes | None]]:
    if kind not in PHOTO_KINDS:
        return [*photos_of(claim)]
    photo = draw(Shot(claim.rng("soiled").getrandbits(48), claim.item.category, claim.item.color))
    return [(photo_name(claim, 0), soiled_photo(kind, photo))]


def _cells(claim: Claim, photos: list[str]) -> tuple[str, ...]:
    rng = claim.rng("cells")
    return (
        claim.claim_id,
        claim.claimed_at,
        claim.customer.customer_id,
        claim.customer.email if rng.random() < 0.96 else rng.choice(("", "-", "n/a")),
        claim.order_id,
        claim.item.item_id,
        claim.item.category,
        claim.item.brand,
        f"{claim.price:.2f}",
        str(claim.quantity),
        claim.ordered_at,
        str(claim.days_since_delivery),
        claim.reason,
        claim.channel,
        claim.payment,
        write_message(claim) if rng.random() < 0.985 else "",
        ";".join(photos),
    )


def _write_outcomes(folder: Path, night: date, per_night: int, seed: int, first: date) -> int:
    findings = findings_on(seed, per_night, night, first)
    rows = [(inspection.claim_id, inspection.finding, inspection.inspected_at.isoformat()) for inspection in findings]
    path = folder / "outcomes" / f"{night.isoformat()}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    _write_table(path, ("claim_id", "finding", "inspected_at"), rows)
    return len(rows)


def _write_table(path: Path, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    written = io.StringIO(newline="")
    writer = csv.writer(written, delimiter=";", lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    write_whole(path, written.getvalue())


def _dirty_lines(made: _Night) -> list[list[str]]:
    """(night, line, kind, expected) of the dirty rows; the header is line 1."""
    return [
        [made.night.isoformat(), str(line), row.kind, EXPECTED[row.kind]]
        for line, row in enumerate(made.rows, start=2)
        if row.kind
    ]
