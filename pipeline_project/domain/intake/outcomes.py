"""What turned out to be true, with the time it became known."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

import pandas as pd
import pyarrow as pa

from pipeline_project.domain.core.schema import CASE_ID

#: One outcome. `known_at` is when it became known, `true_at` when it came true (null if the source does not say);
#: `source` says where it came from.
OUTCOMES = pa.schema(
    [
        pa.field("case_id", pa.string(), nullable=False),
        pa.field("label", pa.string(), nullable=False),
        pa.field("known_at", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("true_at", pa.timestamp("us", tz="UTC")),
        pa.field("source", pa.string(), nullable=False),
    ]
)

_KNOWN_AT = "known_at"


@dataclass(frozen=True)
class OutcomeProblem:
    """A row that names an outcome which cannot be used; the row itself stays where it is."""

    file: str
    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class ArrivedOutcomes:
    """Outcomes as they came in, as OUTCOMES, and the rows that could not be used, in their order."""

    rows: pa.Table
    problems: tuple[OutcomeProblem, ...] = ()


def without_case(outcomes: pa.Table, case_ids: Collection[str]) -> list[str]:
    """The ids in OUTCOMES of which there is no case among the known ones, each once, in order.

    What is known of them stays in the ledger: a case that arrives later, or is repaired, finds its outcome there.
    """
    return sorted(set(outcomes.column("case_id").to_pylist()) - set(case_ids))


def known_honestly(arrived: pa.Table, recorded: pd.DataFrame, decided_until: datetime) -> pa.Table:
    """Outcomes that came after their night was taken in, with the times from which they were really known.

    Nights up to `decided_until` were decided without them, so none of them was known before. One that another word was
    told after, before then, is left out: it never was what was known of its case, and would stand above that word.

    Args:
        arrived: as OUTCOMES.
        recorded: case_id, label, known_at (aware): what is known already; it keeps its time.
        decided_until: the end of the last night that has been decided.
    """
    until = pd.Timestamp(decided_until).tz_convert("UTC")
    mine = recorded[recorded[CASE_ID].isin(set(arrived[CASE_ID].to_pylist()))]
    history: dict[str, list[tuple[str, pd.Timestamp]]] = {}
    for case, label, moment in zip(mine[CASE_ID], mine["label"], mine["known_at"], strict=True):
        history.setdefault(case, []).append((label, moment))
    arrived_rows = list(zip(*(arrived[name].to_pylist() for name in (CASE_ID, "label", "known_at")), strict=True))
    moments = [pd.Timestamp(moment) for _, _, moment in arrived_rows]
    selected = []
    # The last told first: a word that was told before another one, and comes too late, was never the last word.
    for row in sorted(range(len(arrived_rows)), key=lambda row: moments[row], reverse=True):
        case, label, _ = arrived_rows[row]
        facts = history.setdefault(case, [])
        if moments[row] < until:
            since = [moment for other, moment in facts if other == label and moments[row] <= moment <= until]
            if not since and any(moments[row] < moment <= until for _, moment in facts):
                continue
            moments[row] = min(since, default=until)
        facts.append((label, moments[row]))
        selected.append(row)
    times = pa.array([moment.to_pydatetime() for moment in moments], OUTCOMES.field(_KNOWN_AT).type)
    column = OUTCOMES.get_field_index(_KNOWN_AT)
    return arrived.set_column(column, OUTCOMES.field(_KNOWN_AT), times).take(pa.array(sorted(selected), pa.int64()))


def contradictions_in_words(contradictions: pd.DataFrame, listed: int) -> list[str]:
    """A sentence about contradictions and what to do, then one for each of the first ones; nothing without any.

    Args:
        contradictions: case_id, known_at, labels, sources of each.
    """
    if contradictions.empty:
        return []
    head = (
        f"Of {len(contradictions):,} cases the sources tell several outcomes that became known at the same time. The "
        "one recorded last is used until one with a later time settles it; send the right one again."
    )
    sentences = [
        f"{row['case_id']}: {' or '.join(row['labels'])}, known {row['known_at']:%Y-%m-%d %H:%M} UTC, from "
        f"{' and '.join(row['sources'])}"
        for row in contradictions.head(listed).to_dict("records")
    ]
    more = [f"and {len(contradictions) - listed:,} more; --json lists them"] if len(contradictions) > listed else []
    return [head, *sentences, *more]
