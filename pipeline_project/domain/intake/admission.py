"""From arrivals to cases: every row is admitted, refused with reasons, or an exact duplicate. None vanishes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import pandas as pd
import pyarrow as pa

from pipeline_project.domain.core.nights import NightWindow
from pipeline_project.domain.core.schema import CASE_ID, CONTENT, NIGHT, QUARANTINE, Role, cases_schema
from pipeline_project.domain.intake.contents import hits
from pipeline_project.domain.intake.expectation import Expectation
from pipeline_project.domain.intake.known_cases import NOTHING_STANDS, TWINS_ADVICE, KnownCases
from pipeline_project.domain.intake.typed_rows import Reasons, TypedRows, read_rows

__all__ = ["REPAIR_PREFIX", "Admission", "TypedRows", "admit", "open_share", "read_rows", "unevaluated"]

#: What `file` begins with in arrivals that come from a repair.
REPAIR_PREFIX = "repair:"
#: What a rule that raised is said to be: nobody knows which rows it would have refused, so none is admitted.
NOT_EVALUATED = "could not be evaluated"
#: A case may be timed this long after its night ends: clocks differ, and midnight is near.
FUTURE_ALLOWED = timedelta(days=2)
# What differs from row to row in a reason: a quoted value, a line number.
_PARTICULAR = re.compile(r"""(?<=: )(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*") |, on line \d+$""")


@dataclass(frozen=True)
class Admission:
    """What became of a night's arrivals; arrivals = admitted + refused + duplicates.

    Attributes:
        cases: as `schema.cases_schema`.
        quarantine: as `schema.QUARANTINE`.
        duplicates: rows whose id and content had come before.
        arrivals: all rows.
        reasons: reason without its value -> rows, most frequent first.
        systemic: failures that taking rows out cannot mend; the night is blocked when there are any.
        outside_night: admitted cases whose time lies in another night (late, or a little early).
        repaired: admitted rows that came as a repair.
        notes: what was assumed while reading.
        alike: admitted cases that say the same as an earlier line of their file, under another id.
    """

    cases: pa.Table
    quarantine: pa.Table
    duplicates: int
    arrivals: int
    reasons: dict[str, int]
    systemic: tuple[str, ...]
    outside_night: int
    repaired: int
    notes: tuple[str, ...]
    alike: int = 0


def admit(
    typed: TypedRows,
    verdicts: Sequence[Expectation],
    earlier: pa.Table | None,
    window: NightWindow,
    quarantine_limit: float | None = None,
    standing: KnownCases = NOTHING_STANDS,
) -> Admission:
    """Sorts a night's rows into cases, quarantine and exact duplicates.

    The very same row is a duplicate, within the night and against earlier nights. The same id with other content is
    refused, unless all that came before was refused itself: a refused row never blocks its repair. A twin, the same
    content under another id, is refused as well, unless the spec says that such twins are real; two lines of one file
    are two cases all the same.

    Args:
        verdicts: of the contract over `typed.frame`.
        earlier: case_id, row_sha256 and night of the cases of earlier nights, or None.
        quarantine_limit: share of refused and not yet repaired rows above which the night fails as a whole.
        standing: what else stands already.
    """
    frame, reasons = typed.frame, {row: list(row_reasons) for row, row_reasons in typed.reasons.items()}
    _add_verdicts(reasons, verdicts, len(frame))
    outside = _check_times(typed, window, reasons)
    admitted, refused = _sorted_out(frame, reasons, earlier, standing)
    repaired = int(frame["file"].iloc[admitted].str.startswith(REPAIR_PREFIX).sum())
    return Admission(
        cases=_cases(typed, admitted, window.night),
        quarantine=_quarantine(typed, refused, reasons, window.night),
        duplicates=len(frame) - len(admitted) - len(refused),
        arrivals=len(frame),
        reasons=reason_counts([[text for _, text in reasons[row]] for row in refused]),
        alike=_alike(frame, admitted),
        systemic=_systemic(verdicts, len(refused), repaired, len(frame), quarantine_limit),
        outside_night=int(outside[admitted].sum()),
        repaired=repaired,
        notes=typed.notes,
    )


def _sorted_out(
    frame: pd.DataFrame, reasons: Reasons, earlier: pa.Table | None, standing: KnownCases
) -> tuple[list[int], list[int]]:
    """Rows admitted and rows refused, in order; rows in neither are duplicates. `reasons` says why for each refused."""
    night_of_id = standing.before | _nights_of_earlier_ids(frame, earlier)
    seen: set[str] = _seen_earlier(frame, earlier) | standing.rows
    row_of_id: dict[str, int] = {}
    first_file: dict[str, str] = {}
    admitted: list[int] = []
    refused: list[int] = []
    hashes, ids = frame["row_sha256"].tolist(), frame[CASE_ID].astype("object").tolist()
    says, files = frame[CONTENT].astype("object").tolist(), frame["file"].tolist()

    def why_not(row: int) -> str | None:
        case_id = ids[row]
        if case_id in night_of_id:
            return f"id already used in night {night_of_id[case_id]} with other content"
        if case_id in row_of_id:
            first = frame["line"].iat[row_of_id[case_id]]
            return f"id already used in this night with other content, on line {first}"
        if not standing.told:
            return None
        if why := standing.twin(row, case_id):
            return why
        free = standing.real or case_id in standing.decided or not isinstance(says[row], str)
        if not free and first_file.get(says[row], files[row]) != files[row]:
            return f"another file of this night says the same under another id; {TWINS_ADVICE}"
        return None

    for row in _in_order(frame):
        if hashes[row] in seen:
            continue
        seen.add(hashes[row])
        if row not in reasons and (why := why_not(row)):
            reasons[row] = [(CASE_ID, why)]
        if row in reasons:
            refused.append(row)
        else:
            row_of_id[ids[row]] = row
            first_file.setdefault(says[row], files[row])
            admitted.append(row)
    return sorted(admitted), sorted(refused)


def open_share(refused: int, repaired: int, arrivals: int) -> float:
    """The share of refused rows that no repair has replaced: a night that was repaired must not stay blocked.

    Args:
        repaired: admitted rows whose `file` begins with REPAIR_PREFIX.
        arrivals: all rows, repairs included.
    """
    rows = arrivals - repaired
    return max(0, refused - repaired) / rows if rows > 0 else 0.0


def unevaluated(reasons: Iterable[Sequence[str]]) -> list[str]:
    """The reasons of refused rows that speak of a rule which could not be evaluated, each once, in order.

    Args:
        reasons: of each row of the night's quarantine.
    """
    return list(dict.fromkeys(why for row in reasons for why in row if why.endswith(NOT_EVALUATED)))


def repaired(arrivals: pa.Table, admitted: Collection[str]) -> int:
    """How many admitted rows of a night came in a repair.

    Args:
        admitted: `row_sha256` of the night's cases.
    """
    admitted_hashes = set(admitted)
    return sum(
        file.startswith(REPAIR_PREFIX) and row in admitted_hashes
        for file, row in zip(arrivals["file"].to_pylist(), arrivals["row_sha256"].to_pylist(), strict=True)
    )


def _add_verdicts(reasons: Reasons, verdicts: Sequence[Expectation], rows: int) -> None:
    explained = {(row, name) for row, row_reasons in reasons.items() for name, _ in row_reasons}
    broken = {row for row, row_reasons in reasons.items() if any(name is None for name, _ in row_reasons)}
    for verdict in verdicts:
        if verdict.systemic and not verdict.passed and not verdict.evaluated:
            for row in range(rows):
                reasons.setdefault(row, []).append((verdict.column, f"the rule `{verdict.rule}` {NOT_EVALUATED}"))
        for row in verdict.failed:
            if row in broken or (row, verdict.column) in explained:
                continue
            where = f"{verdict.column}: " if verdict.column else ""
            reasons.setdefault(row, []).append((verdict.column, f"{where}broke the rule `{verdict.rule}`"))


def _check_times(typed: TypedRows, window: NightWindow, reasons: Reasons) -> np.ndarray:
    """Refuses cases from the future and returns which lie outside their night."""
    declared = typed.schema.by_role(Role.TIME)
    if declared is None or declared.name not in typed.frame:
        return np.zeros(len(typed.frame), dtype=bool)
    times = typed.frame[declared.name]
    for row in np.flatnonzero((times > window.end + FUTURE_ALLOWED).to_numpy(bool)).tolist():
        why = f"{declared.name}: lies more than {FUTURE_ALLOWED.days} days after its night"
        reasons.setdefault(row, []).append((declared.name, why))
    return ((times < window.start) | (times >= window.end)).to_numpy(bool)


def _nights_of_earlier_ids(frame: pd.DataFrame, earlier: pa.Table | None) -> dict[str, str]:
    """case_id -> the first night, of those earlier cases whose id came again."""
    if earlier is None or not earlier.num_rows or frame.empty:
        return {}
    again = hits(earlier, CASE_ID, frame[CASE_ID].dropna().tolist()).select([CASE_ID, NIGHT]).to_pylist()
    return {row[CASE_ID]: row[NIGHT] for row in sorted(again, key=lambda row: row[NIGHT], reverse=True)}


def _seen_earlier(frame: pd.DataFrame, earlier: pa.Table | None) -> set[str]:
    """The very rows that are cases of earlier nights, whatever their ids were made of then."""
    if earlier is None or not earlier.num_rows or frame.empty:
        return set()
    return set(hits(earlier, "row_sha256", frame["row_sha256"].tolist())["row_sha256"].to_pylist())


def _alike(frame: pd.DataFrame, admitted: list[int]) -> int:
    says = frame[CONTENT].iloc[admitted].dropna()
    return int(says.duplicated().sum())


def _in_order(frame: pd.DataFrame) -> list[int]:
    order = pd.DataFrame(
        {"repair": frame["file"].str.startswith(REPAIR_PREFIX), "file": frame["file"], "line": frame["line"]}
    )
    return order.sort_values(["repair", "file", "line"], kind="stable").index.tolist()


def _cases(typed: TypedRows, rows: list[int], night: str) -> pa.Table:
    wanted = cases_schema(typed.schema)
    chosen = typed.frame.iloc[rows].assign(night=night)
    arrays = [
        pa.Array.from_pandas(chosen[column.name], type=column.type)
        if column.name in chosen
        else pa.nulls(len(rows), column.type)
        for column in wanted
    ]
    return pa.Table.from_arrays(arrays, schema=wanted)


def _quarantine(typed: TypedRows, rows: list[int], reasons: Reasons, night: str) -> pa.Table:
    chosen = typed.arrivals.take(pa.array(rows, pa.int64()))
    columns = {
        "night": pa.array([night] * len(rows), pa.string()),
        CASE_ID: pa.Array.from_pandas(typed.frame[CASE_ID].iloc[rows], type=pa.string()),
        "reasons": pa.array([[text for _, text in reasons[row]] for row in rows], pa.list_(pa.string())),
    }
    arrays = [columns[name] if name in columns else chosen.column(name) for name in QUARANTINE.names]
    return pa.table(arrays, schema=QUARANTINE)


def reason_counts(reasons: Iterable[Iterable[str]]) -> dict[str, int]:
    """Reason without its value -> rows, most frequent first; from the reasons of each refused row."""
    return dict(Counter(_PARTICULAR.sub("", text) for row in reasons for text in row).most_common())


def commonest(reasons: Mapping[str, int], at_most: int = 3) -> str:
    """The most frequent reasons with their counts, as a person reads them."""
    phrases = [f"{count} times {reason}" for reason, count in list(reasons.items())[:at_most]]
    others = len(reasons) - len(phrases)
    return ", ".join(phrases) + (f" and {others} other reason{'s' * (others > 1)}" if others else "")


def _systemic(
    verdicts: Sequence[Expectation], refused: int, repaired: int, arrivals: int, limit: float | None
) -> tuple[str, ...]:
    causes = [verdict.detail or verdict.rule for verdict in verdicts if verdict.systemic and not verdict.passed]
    share = open_share(refused, repaired, arrivals)
    if limit is not None and share > limit:
        causes.append(
            f"{share:.0%} of {arrivals} rows were refused; quarantine_limit is {limit:.0%}. "
            "Repair them, or raise the limit in the spec when this is how the source is"
        )
    return tuple(causes)
