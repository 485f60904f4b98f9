"""What was known, when a night began, beside the cases that people are asked about: like cases, and the customer's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pipeline_project.domain.core.nights import NightWindow, days_before
from pipeline_project.domain.core.schema import CASE_ID, NIGHT, Role
from pipeline_project.domain.review.content import CaseContext, EarlierCase, Personal, personal_fields
from pipeline_project.domain.review.similar import nearest_by_fields, nearest_by_vectors
from pipeline_project.domain.vectors.stored import Floats, unpack
from pipeline_project.ports.keyring import Keyring
from pipeline_project.ports.lake import Lake
from pipeline_project.ports.ledger import Ledger
from pipeline_project.spec import WorkflowSpec

#: Days looked back on for like cases, and for the customer's own.
LIKE_DAYS, HISTORY_DAYS = 60, 365


def sealed_values(spec: WorkflowSpec, keyring: Keyring, cases: pa.Table, asked: Sequence[str]) -> dict[str, Personal]:
    """The personal values of the cases that people are asked about, sealed, by case."""
    named = [f.name for f in personal_fields(spec.case_schema)]
    if not named or not asked:
        return {}
    picked = _rows_of(cases, asked)
    subject = spec.case_schema.by_role(Role.SUBJECT)
    owners = picked[subject.name].to_pylist() if subject else [None] * len(picked)
    tokens = keyring.seal_columns(owners, {name: picked[name].to_pylist() for name in named})
    return {
        case: Personal({name: tokens[name][i] for name in named}) for i, case in enumerate(picked[CASE_ID].to_pylist())
    }


def known_beside(
    spec: WorkflowSpec, lake: Lake, ledger: Ledger, night: NightWindow, cases: pa.Table, asked: Sequence[str]
) -> dict[str, CaseContext]:
    """Like cases with their outcomes and the customer's history, of the cases that people are asked about.

    Only outcomes known before the night began are looked at; options are those that stood when the night was run.
    """
    if not asked:
        return {}
    picked = _rows_of(cases, asked)
    outcomes = ledger.outcomes_known(spec.name, night.start)
    label_of = dict(zip(outcomes[CASE_ID], outcomes["label"], strict=True))
    first = days_before(night.night, HISTORY_DAYS)
    decided = lake.read_span(spec.name, "decisions", first, night.night, [CASE_ID, "option"])
    option_of = (
        {} if decided is None else dict(zip(*(decided[c].to_pylist() for c in (CASE_ID, "option")), strict=True))
    )
    similar = _similar(spec, lake, night, picked, label_of, option_of)
    history = _histories(spec, lake, night, picked, label_of, option_of)
    return {
        case: CaseContext(similar[i], None if history is None else history[i])
        for i, case in enumerate(picked[CASE_ID].to_pylist())
    }


def _similar(
    spec: WorkflowSpec,
    lake: Lake,
    night: NightWindow,
    picked: pa.Table,
    label_of: Mapping[str, str],
    option_of: Mapping[str, str],
) -> list[list[EarlierCase]]:
    asset = "embeddings" if spec.encodes else "cases"
    earlier = lake.read_span(spec.name, asset, days_before(night.night, LIKE_DAYS), night.night)
    if earlier is None or not len(earlier):
        return [[] for _ in range(len(picked))]
    earlier = earlier.filter(pc.is_in(earlier[CASE_ID], pa.array(label_of, pa.string())))
    if spec.encodes:
        tonight = lake.read_night(spec.name, asset, night.night)
        ours = None if tonight is None else _rows_of(tonight, picked[CASE_ID].to_pylist())
        if ours is None:
            return [[] for _ in range(len(picked))]
        neighbours = nearest_by_vectors(*_joined(ours, earlier))
    else:
        neighbours = nearest_by_fields(picked, earlier, spec.model_inputs)
    ids, nights = earlier[CASE_ID].to_pylist(), earlier[NIGHT].to_pylist()
    return [
        [EarlierCase(ids[i], nights[i], label_of[ids[i]], option_of.get(ids[i]), similarity=s) for i, s in of_case]
        for of_case in neighbours
    ]


def _histories(
    spec: WorkflowSpec,
    lake: Lake,
    night: NightWindow,
    picked: pa.Table,
    label_of: Mapping[str, str],
    option_of: Mapping[str, str],
) -> list[list[EarlierCase]] | None:
    subject, amount = spec.case_schema.by_role(Role.SUBJECT), spec.case_schema.by_role(Role.AMOUNT)
    if subject is None:
        return None
    columns = list(dict.fromkeys([NIGHT, CASE_ID, subject.name, *([amount.name] if amount else [])]))
    earlier = lake.read_span(spec.name, "cases", days_before(night.night, HISTORY_DAYS), night.night, columns)
    owners = picked[subject.name].to_pylist()
    if earlier is None:
        return [[] for _ in owners]
    of_these = pa.array({owner for owner in owners if owner is not None}, earlier.schema.field(subject.name).type)
    frame = earlier.filter(pc.is_in(earlier[subject.name], of_these)).to_pandas()
    of_owner: dict[str, list[EarlierCase]] = {
        str(owner): [
            EarlierCase(
                row[CASE_ID],
                row[NIGHT],
                label_of.get(row[CASE_ID]),
                option_of.get(row[CASE_ID]),
                None if amount is None or pd.isna(row[amount.name]) else float(row[amount.name]),
            )
            for row in rows.sort_values([NIGHT, CASE_ID], ascending=False).to_dict("records")
        ]
        for owner, rows in frame.groupby(subject.name)
    }
    return [of_owner.get(owner, []) for owner in owners]


def _rows_of(table: pa.Table, cases: Sequence[str]) -> pa.Table:
    """The rows of these cases, in their order."""
    at = {case: i for i, case in enumerate(table[CASE_ID].to_pylist())}
    return table.take(pa.array([at[case] for case in cases], pa.int64()))


def _joined(ours: pa.Table, earlier: pa.Table) -> tuple[Floats, Floats]:
    """Text and photo vectors side by side; a case without one of them has zeros there."""
    sides: tuple[list[Floats], list[Floats]] = ([], [])
    for column in ("text_vector", "image_vector"):
        if column in ours.column_names and column in earlier.column_names:
            width = max(unpack(table[column]).shape[1] for table in (ours, earlier))
            for side, table in zip(sides, (ours, earlier), strict=True):
                side.append(unpack(table[column], width))
    return np.hstack(sides[0]), np.hstack(sides[1])
