"""Features of cases as they were known at the start of each case's own night."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pandas as pd
import pyarrow as pa

from pipeline_project.domain.core.night_arrays import window_numbers
from pipeline_project.domain.core.schema import CASE_ID, NIGHT, FieldType
from pipeline_project.domain.features.history import Askers, Asking, PastCases, codes, entity_history, past_cases
from pipeline_project.domain.features.plan import FeaturePlan
from pipeline_project.domain.features.table import FeatureTable, floats, stacked, strings
from pipeline_project.domain.vectors.modalities import MODALITIES
from pipeline_project.domain.vectors.stored import unpack

__all__ = ["OF_TIME", "SEASON", "FeaturePlan", "FeatureTable", "Past", "build_features", "no_cases", "no_past"]

#: Season columns; a model trained on less than a year leaves them out (see `training`).
SEASON = ("season_sin", "season_cos")
#: What every case's time gives.
OF_TIME = ("weekday", "hour", *SEASON)
_CLUSTER_NUMBERS = ("cluster_size", "cluster_customers", "twin_similarity")
_DAY = 86_400_000_000


@dataclass(frozen=True)
class Past:
    """What had happened before.

    Attributes:
        cases: the `cases` table of earlier nights, or None; later nights in it are not looked at.
        outcomes: case_id, label, known_at (aware); several rows of one case are corrections.
    """

    cases: pa.Table | None
    outcomes: pd.DataFrame


def no_past() -> Past:
    return Past(None, pd.DataFrame({"case_id": [], "label": [], "known_at": pd.to_datetime([], utc=True)}))


def no_cases(plan: FeaturePlan) -> pa.Table:
    """A `cases` table without rows, with the columns that the plan reads."""
    fields = {f.name: f.type.arrow for f in (*plan.inputs, *plan.ages, plan.amount, plan.time) if f is not None}
    keys = [NIGHT, CASE_ID, *(by for by, _ in plan.history), *(name for group in plan.basket for name in group)]
    columns = {name: pa.string() for name in keys} | fields
    return pa.table({name: pa.array([], kind) for name, kind in columns.items()})


def build_features(
    cases: pa.Table,
    plan: FeaturePlan,
    past: Past,
    as_of: Mapping[str, datetime],
    embeddings: pa.Table | None = None,
    clusters: pa.Table | None = None,
    aggregates: pa.Table | None = None,
) -> FeatureTable:
    """Features of the cases of one or many nights, in the order of `cases`.

    Args:
        as_of: the time before which each night may know, as a rule its start, in UTC.
        embeddings: rows of these cases, with the vectors of the plan's modalities.
        clusters: rows of these cases and, for what is known of a cluster's past, of earlier cases.
        aggregates: rows of these cases, with the features of the plan that are made of other rows.

    Raises:
        KeyError: a night is missing from `as_of`.
        ValueError: vectors or aggregates of the plan were not given.
    """
    nights = strings(cases.column(NIGHT))
    asking = Asking.of(nights, as_of)
    asked = asking.index_of(nights)
    numbers: dict[str, np.ndarray] = {f.name: floats(cases.column(f.name)) for f in plan.of_type(FieldType.NUMBER)}
    numbers |= _sizes(cases, plan)
    numbers |= _times(cases, plan, asking.times[asked])
    for group in plan.basket:
        numbers |= _basket(cases, group, plan)
    numbers |= _histories(cases, plan, past, asking, asked, clusters)
    if plan.clusters:
        numbers |= _cluster_numbers(cases, clusters)
    numbers |= _kept(cases, tuple(plan.kept), aggregates)
    kinds = plan.of_type(FieldType.CATEGORY)
    return FeatureTable(
        case_ids=strings(cases.column(CASE_ID)),
        nights=nights,
        number_names=tuple(numbers),
        numbers=stacked(list(numbers.values()), len(cases), np.float64),
        category_names=tuple(f.name for f in kinds),
        categories=stacked([strings(cases.column(f.name)) for f in kinds], len(cases), object),
        vectors={
            name: _vectors(cases, embeddings, modality.vector_column)
            for name, modality in MODALITIES.items()
            if plan.dimensions.get(name)
        },
        phrases=plan.kept,
    )


def _kept(cases: pa.Table, names: tuple[str, ...], aggregates: pa.Table | None) -> dict[str, np.ndarray]:
    """Features as they were made on each case's own night."""
    if aggregates is None or not names:
        if names and len(cases):
            raise ValueError("the workflow has `features` or `series`, so build_features needs the aggregates")
        return {name: np.empty(0) for name in names}
    rows = aggregates.take(_rows_of(cases, aggregates))
    return {name: floats(rows.column(name)) for name in names}


def _sizes(cases: pa.Table, plan: FeaturePlan) -> dict[str, np.ndarray]:
    """Characters of each text and number of photos; a missing one has none."""
    return dict(
        modality.size(field.name, cases.column(field.name))
        for modality in MODALITIES.values()
        for field in plan.of_type(modality.field_type)
    )


def _times(cases: pa.Table, plan: FeaturePlan, starts: np.ndarray) -> dict[str, np.ndarray]:
    """Weekday, hour and season of the case's time (of its night where it has none), and days since other times.

    Sentinel dates (1900, 1990) are left: far from every true value, they are a branch of their own to a tree.
    """
    utc = pd.Series(pd.to_datetime(starts, unit="us", utc=True)).dt.as_unit("us")
    if plan.time is not None:
        utc = _moments(cases.column(plan.time.name)).fillna(utc)
    local = utc.dt.tz_convert(plan.time_zone).dt
    angle = 2 * np.pi * local.day_of_year.to_numpy(np.float64) / 365.25
    columns = {
        "weekday": local.day_of_week.to_numpy(np.float64),
        "hour": (local.hour + local.minute / 60).to_numpy(np.float64),
        SEASON[0]: np.sin(angle),
        SEASON[1]: np.cos(angle),
    }
    now = utc.astype("int64").to_numpy()
    for field in plan.ages:
        then = _moments(cases.column(field.name))
        days = (now - then.astype("int64").to_numpy()) / _DAY
        columns[f"{field.name}_days_ago"] = np.where(then.isna().to_numpy(), np.nan, np.round(days, 3))
    return columns


def _moments(column: pa.ChunkedArray) -> pd.Series:
    """Times as pandas holds them, in microseconds UTC, NaT where null."""
    whole = column.cast(pa.timestamp("us", tz="UTC")).cast(pa.int64())
    missing = whole.is_null().to_numpy()
    held = pd.Series(pd.to_datetime(whole.fill_null(0).to_numpy(), unit="us", utc=True)).dt.as_unit("us")
    return held.mask(missing)


def _basket(cases: pa.Table, group: tuple[str, ...], plan: FeaturePlan) -> dict[str, np.ndarray]:
    """Size and amounts of a case's basket, and how many different values of each other field are in it.

    A case with a missing key is a basket of its own.
    """
    keys = pd.DataFrame({name: codes(None, cases.column(name))[1] for name in (NIGHT, *group)})
    basket = keys.groupby(list(keys.columns), sort=False).ngroup()
    alone = pd.Series(-1 - np.arange(len(keys)))
    basket = basket.where((keys >= 0).all(axis=1), alone)
    prefix = "basket_" + "_".join(group)
    columns = {f"{prefix}_size": basket.groupby(basket).transform("size").to_numpy(np.float64)}
    others = [f.name for f in plan.of_type(FieldType.CATEGORY)] + [by for by, _ in plan.history]
    for name in dict.fromkeys(others):
        if name not in group:
            values = pd.Series(codes(None, cases.column(name))[1])
            columns[f"{prefix}_different_{name}"] = values.groupby(basket).transform("nunique").to_numpy(np.float64)
    if plan.amount is not None and plan.amount.name not in group:
        amount = pd.Series(floats(cases.column(plan.amount.name)))
        within = amount.groupby(basket)
        columns[f"{prefix}_{plan.amount.name}_sum"] = within.transform("sum").round(3).to_numpy(np.float64)
        columns[f"{prefix}_{plan.amount.name}_rank"] = within.rank(method="average", pct=True).to_numpy(np.float64)
    return columns


def _histories(
    cases: pa.Table,
    plan: FeaturePlan,
    past: Past,
    asking: Asking,
    asked: np.ndarray,
    clusters: pa.Table | None,
) -> dict[str, np.ndarray]:
    """Columns of every entity's past; the cluster counts as an entity."""
    entities = [(by, nights, by if nights is None else f"{by}_{nights}n") for by, nights in plan.history]
    amount = plan.amount.name if plan.amount else None
    now_amounts = floats(cases.column(amount)) if amount else np.full(len(cases), np.nan)
    earlier = _first_seen(past.cases)
    cases_before = _past_cases(earlier, amount, past.outcomes, plan, asking, cases)
    columns: dict[str, np.ndarray] = {}
    pairs = [(name, nights, _pair(earlier, cases, by)) for by, nights, name in entities]
    if plan.clusters:
        pairs.append(("cluster_past", None, _cluster_pair(earlier, cases, clusters)))
    for name, nights, (then, now) in pairs:
        history = entity_history(cases_before, then, asking, Askers(now, asked, now_amounts), plan.labels, nights)
        ratio = history.pop("amount_ratio")
        columns |= {f"{name}_{what}": column for what, column in history.items()}
        if amount:
            columns[f"{amount}_to_{name}_usual"] = ratio
    return columns


def _first_seen(cases: pa.Table | None) -> pa.Table | None:
    """Each earlier case once, on its first night, so that a repeated delivery is no second case."""
    if cases is None:
        return None
    frame = pd.DataFrame({"night": strings(cases.column(NIGHT)), "case": strings(cases.column(CASE_ID))})
    first = frame.sort_values("night", kind="stable").drop_duplicates("case").index.to_numpy()
    return cases.take(pa.array(np.sort(first)))


def _past_cases(
    earlier: pa.Table | None,
    amount: str | None,
    outcomes: pd.DataFrame,
    plan: FeaturePlan,
    asking: Asking,
    cases: pa.Table,
) -> PastCases:
    held = cases.slice(0, 0) if earlier is None else earlier
    amounts = floats(held.column(amount)) if amount else np.full(len(held), np.nan)
    return past_cases(
        strings(held.column(CASE_ID)), strings(held.column(NIGHT)), amounts, outcomes, plan.labels, asking
    )


def _pair(earlier: pa.Table | None, cases: pa.Table, by: str) -> tuple[np.ndarray, np.ndarray]:
    return codes(None if earlier is None else earlier.column(by), cases.column(by))


def _cluster_pair(
    earlier: pa.Table | None, cases: pa.Table, clusters: pa.Table | None
) -> tuple[np.ndarray, np.ndarray]:
    if clusters is None:
        return np.full(0 if earlier is None else len(earlier), -1), np.full(len(cases), -1)
    names = clusters.column("cluster")
    then = None if earlier is None else names.take(_rows_of(earlier, clusters))
    return codes(then, names.take(_rows_of(cases, clusters)))


def _cluster_numbers(cases: pa.Table, clusters: pa.Table | None) -> dict[str, np.ndarray]:
    """What the cluster looks like on the case's night; a case without a cluster has size 1."""
    if clusters is None:
        nothing = np.full(len(cases), np.nan)
        return dict.fromkeys((*_CLUSTER_NUMBERS, "shared_photo", "cluster_age"), nothing)
    rows = clusters.take(_rows_of(cases, clusters))
    columns = {name: floats(rows.column(name)) for name in _CLUSTER_NUMBERS}
    columns["shared_photo"] = floats(rows.column("shared_photo").cast(pa.int8()))
    now, born = (window_numbers(strings(rows.column(name))) for name in (NIGHT, "cluster_born"))
    columns["cluster_age"] = now - born
    return columns


def _vectors(cases: pa.Table, embeddings: pa.Table | None, column: str) -> np.ndarray:
    if embeddings is None:
        if not len(cases):
            return np.empty((0, 0), dtype=np.float32)
        raise ValueError("the workflow has vectors, so build_features needs the embeddings of these nights")
    return np.asarray(unpack(embeddings.column(column).take(_rows_of(cases, embeddings))), dtype=np.float32)


def _rows_of(cases: pa.Table, other: pa.Table) -> pa.Array:
    """Where each case of each night stands in another table; null where it is not there."""
    keys = [pd.MultiIndex.from_arrays([strings(t.column(NIGHT)), strings(t.column(CASE_ID))]) for t in (other, cases)]
    rows = keys[0].get_indexer(keys[1])
    return pa.array(rows, pa.int64(), mask=rows < 0)
