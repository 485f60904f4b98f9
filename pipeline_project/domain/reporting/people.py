"""What did not go through by itself: cases that wait for people, and rows that were refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd
import pyarrow as pa

from pipeline_project.domain.core.reasons import ASK_PERSON, words_of
from pipeline_project.domain.core.schema import CASE_ID
from pipeline_project.domain.privacy.masking import mask, secrets_of_raw, without_values
from pipeline_project.domain.reporting.facts import ReportTerms
from pipeline_project.domain.reporting.money import known_sum

MOST_REASONS = 10
MOST_CASES = 8


@dataclass(frozen=True)
class PeopleLine:
    """One reason to ask a person; money in the workflow's currency, None where unknown."""

    reason: str
    words: str
    cases: int
    amount: float | None
    benefit: float | None


@dataclass(frozen=True)
class WaitingCase:
    """One case that a person will see, with what the model thought."""

    case_id: str
    words: str
    amount: float | None
    leaning: str
    benefit: float | None
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Refusal:
    """One reason for which rows were refused, with the first row as an example.

    Attributes:
        rows: rows with this reason; a row with several reasons counts under each.
        file, line: of the example; the line counts from 1, the header being line 1.
    """

    reason: str
    rows: int
    file: str
    line: int


def people_lines(decisions: pd.DataFrame) -> tuple[PeopleLine, ...]:
    """What went to people by reason, most frequent first."""
    asked = decisions[decisions["option"] == ASK_PERSON]
    lines = [
        PeopleLine(
            reason=str(reason),
            words=words_of(str(reason)).report,
            cases=len(part),
            amount=known_sum(part["amount"]),
            benefit=known_sum(part["benefit"]),
        )
        for reason, part in asked.groupby("reason", sort=True)
    ]
    return tuple(sorted(lines, key=lambda line: (-line.cases, line.reason)))


def waiting_cases(
    decisions: pd.DataFrame, terms: ReportTerms, secrets: Mapping[str, tuple[str, ...]], show_ids: bool
) -> tuple[WaitingCase, ...]:
    """The cases in which a person's answer is worth most, then those of highest amount, personal values masked."""
    asked = decisions[decisions["option"] == ASK_PERSON]
    worth = pd.to_numeric(asked["benefit"], errors="coerce")
    size = pd.to_numeric(asked["amount"], errors="coerce")
    order = ["_worth", "_size", CASE_ID]
    asked = asked.assign(_worth=worth, _size=size).sort_values(
        order, ascending=[False, False, True], na_position="last", kind="stable"
    )
    lines = []
    for row in asked.head(MOST_CASES).to_dict("records"):
        case = str(row[CASE_ID])
        reasons = row["reasons"]
        lines.append(
            WaitingCase(
                case_id=case if show_ids else "•••",
                words=words_of(str(row["reason"])).report,
                amount=known_sum([row["amount"]]),
                leaning=terms.options.get(str(row["cheapest"]), "—"),
                benefit=known_sum([row["benefit"]]),
                reasons=tuple(mask(str(r), secrets.get(case, ())) for r in (reasons if reasons is not None else ())),
            )
        )
    return tuple(lines)


def refusals(quarantine: pa.Table, terms: ReportTerms) -> tuple[tuple[Refusal, ...], int]:
    """The most frequent reasons, values and personal data left out, and how many reasons there are beyond those."""
    rows = quarantine.select(["file", "line", "reasons", "raw"]).to_pylist()
    rows.sort(key=lambda row: (row["file"], row["line"]))
    counted: dict[str, int] = {}
    example: dict[str, tuple[str, int]] = {}
    for row in rows:
        secrets = secrets_of_raw(terms.schema, row["raw"])
        for reason in sorted({mask(without_values(text), secrets) for text in row["reasons"]}):
            counted[reason] = counted.get(reason, 0) + 1
            example.setdefault(reason, (row["file"], row["line"]))
    order = sorted(counted, key=lambda reason: (-counted[reason], reason))
    lines = tuple(Refusal(reason, counted[reason], *example[reason]) for reason in order[:MOST_REASONS])
    return lines, max(0, len(order) - MOST_REASONS)
