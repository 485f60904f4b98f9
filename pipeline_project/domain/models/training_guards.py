"""What forbids a training: a model that would know what it must not, or that would be measured on what it has seen.

Each guard ends in one sentence that says what is wrong with the data and what to do. The reasons for each, and its
limits, are in docs/decisions/29-training-guards.md.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pipeline_project.domain.core.errors import TrainingRefused
from pipeline_project.domain.core.night_arrays import days_begun
from pipeline_project.domain.core.reasons import ASK_PERSON, Reason
from pipeline_project.domain.core.schema import CASE_ID
from pipeline_project.domain.features.table import FeatureTable
from pipeline_project.domain.features.timeline import later_share
from pipeline_project.domain.models.single_feature_leakage import single_feature_fits
from pipeline_project.domain.vectors.modalities import MODALITIES

#: More of the later rows that the earlier ones hold already, beyond what chance explains, are copies if their labels
#: agree as those of copies do, ...
COPIES_LIMIT = 0.2
_AGREEING = 0.5
#: ... and so many whatever their labels.
_COPIES_ANYWAY = 0.5
#: Below this share of decided cases whose truth is never learned, what is left out cannot bend a model.
CENSORED_LIMIT = 0.01
#: With fewer rows, shares say nothing, and too few outcomes are refused anyway.
_FEWEST = 50
_AGE = "_days_ago"
_HOUR = "hour"


@dataclass(frozen=True)
class GuardTerms:
    """What the guards need of a spec.

    Attributes:
        labels: in the spec's order.
        late: fields that are known only after the decision.
        content: features that are values of the case itself, the ages of its dates included; none made from its own
            time or from the past.
        single_field_limit: see `model.single_field_limit`.
        calibration_share: the latest share of the rows, on which a model is calibrated and measured.
        learned_after: options after which the truth is learned; empty means after each of them.
        exploration: share of cases sent to people at random.
    """

    labels: tuple[str, ...]
    late: frozenset[str] = frozenset()
    content: frozenset[str] = frozenset()
    single_field_limit: float = 0.98
    calibration_share: float = 0.25
    learned_after: tuple[str, ...] = ()
    exploration: float = 0.0


@dataclass(frozen=True)
class Copies:
    """How many of the later rows stand among the earlier ones.

    Attributes:
        rows, distinct: rows in all, and how many different ones.
        repeated: share of the later rows that an earlier one equals.
        by_chance: the share that would be expected if the fields had nothing to do with each other.
        agreement: how far the labels of these rows are the commonest ones of the rows they equal: 0 as far as by
            always naming the commonest label, 1 always.
    """

    rows: int
    distinct: int
    repeated: float
    by_chance: float
    agreement: float = 0.0

    @property
    def excess(self) -> float:
        return self.repeated - self.by_chance


def check(table: pa.Table, terms: GuardTerms, decided: pa.Table | None = None) -> None:
    """Refuses a training set that would make a model look better than it is, or learn what it must not.

    Args:
        table: as `training.training_set` gives it.
        terms: what the spec says.
        decided: case_id, option, reason of what was decided until now; None or empty when nothing was.

    Raises:
        TrainingRefused: with the reason and what to do about it.
    """
    features = FeatureTable.from_arrow(table)
    _nothing_late(features, terms)
    _not_censored(table, terms, decided)
    if len(features) < _FEWEST:
        return
    labels = np.array(table.column("label").to_pylist(), dtype=object)
    _no_leak(features, labels, terms)
    _no_copies(features, labels, terms)


def _nothing_late(features: FeatureTable, terms: GuardTerms) -> None:
    late = sorted(name for name in features.names if name in terms.late or name.removesuffix(_AGE) in terms.late)
    if late:
        raise TrainingRefused(
            f"{', '.join(late)}: known only after the decision (known_later), so on the night of a decision the model "
            "would not have it; take it out of model.features and materialize the training set again"
        )


def _no_leak(features: FeatureTable, labels: np.ndarray, terms: GuardTerms) -> None:
    fits = single_feature_fits(features, labels, terms.labels)
    worst = max(fits, key=lambda fit: fit.auc, default=None)
    if worst is None or worst.auc <= terms.single_field_limit:
        return
    others = len({fit.feature for fit in fits if fit.auc > terms.single_field_limit}) - 1
    more = f" (and {others} other features do as well)" if others else ""
    raise TrainingRefused(
        f"{worst.feature} alone tells {worst.label} from the rest with an AUC of {worst.auc:.3f}, more than "
        f"model.single_field_limit ({terms.single_field_limit:g}){more}: it is most likely filled in after the truth "
        "is known. Declare the field known_later or leave it out of model.features; if it is known before the "
        "decision, raise the limit"
    )


def copies(features: FeatureTable, labels: np.ndarray, content: Collection[str], calibration_share: float) -> Copies:
    """How many of the later rows are exact copies of earlier ones, in what cases say themselves.

    A time that the case names (a birthday, an earlier purchase) is a feature by the days that have passed since. A
    case that was sent again has either the same days or the same day, so both are tried.

    Args:
        labels: shape (n,).
        content: features to compare; texts and photos are always compared.
        calibration_share: the latest share of the rows, cut between nights.
    """
    later = later_share(features.nights, calibration_share)
    ages = [name for name in features.number_names if name in content and name.endswith(_AGE)]
    of = pd.factorize(labels)[0]
    variants = [_copies(_codes(features, content, frozenset()), of, later)]
    if ages:
        variants.append(_copies(_codes(features, content, frozenset(ages)), of, later))
    return max(variants, key=lambda variant: variant.excess)


def _copies(codes: pd.DataFrame, labels: np.ndarray, later: np.ndarray) -> Copies:
    keys = pd.util.hash_pandas_object(codes, index=False).to_numpy() if len(codes.columns) else np.arange(len(codes))
    distinct = len(np.unique(keys))
    if not later.any():
        return Copies(len(codes), distinct, 0.0, 0.0)
    earlier = int((~later).sum())
    chance = np.ones(int(later.sum()))
    contents = {modality.feature for modality in MODALITIES.values()}
    for name in codes.columns:
        code = codes[name].to_numpy()
        share = np.bincount(code[~later], minlength=int(code.max()) + 1) / earlier
        # that two texts or photos are equal to the last byte is no coincidence; 0 stands for none at all
        share = np.where(np.arange(len(share)) == 0, share, 0.0) if name in contents else share
        chance *= share[code[later]]
    again = np.isin(keys[later], keys[~later])
    by_chance = float((1 - (1 - chance) ** earlier).mean())
    agreement = _agreement(keys, labels, later, again) if again.any() else 0.0
    return Copies(len(codes), distinct, float(again.mean()), by_chance, agreement)


def _agreement(keys: np.ndarray, labels: np.ndarray, later: np.ndarray, again: np.ndarray) -> float:
    """See `Copies.agreement`; rows that are all of one label agree as copies would."""
    before = pd.DataFrame({"key": keys[~later], "label": labels[~later]}).value_counts().reset_index()
    commonest = before.drop_duplicates("key").set_index("key")["label"]
    own = labels[later][again]
    right = float((commonest.loc[keys[later][again]].to_numpy() == own).mean())
    base = float(np.bincount(own).max() / len(own))
    return (right - base) / (1 - base) if base < 1 else right


def _no_copies(features: FeatureTable, labels: np.ndarray, terms: GuardTerms) -> None:
    copied = copies(features, labels, terms.content, terms.calibration_share)
    if copied.excess <= (COPIES_LIMIT if copied.agreement > _AGREEING else _COPIES_ANYWAY):
        return
    raise TrainingRefused(
        f"{copied.repeated:.0%} of the later cases are exact copies of earlier ones ({copied.rows:,} rows hold "
        f"{copied.distinct:,} different ones; chance explains {copied.by_chance:.0%}), so the model would be measured "
        "on what it has learned by heart: send each case once, or take fields that say the same thing twice out of "
        "model.features"
    )


def _codes(features: FeatureTable, content: Collection[str], as_days: Collection[str]) -> pd.DataFrame:
    """What cases say themselves, each value as a number; of texts and photos 0 means that there is none.

    Args:
        as_days: ages to turn back into the day that they are counted from.
    """
    columns: dict[str, np.ndarray] = {}
    days = days_begun(features.nights)
    hours = features.number(_HOUR) / 24 if _HOUR in features.number_names else np.zeros(len(features))
    for i, name in enumerate(features.number_names):
        if name in content:
            values = features.numbers[:, i]
            values = np.round(days + hours - values) if name in as_days else values
            columns[f"number {name}"] = pd.factorize(values, use_na_sentinel=False)[0]
    for i, name in enumerate(features.category_names):
        if name in content:
            columns[f"category {name}"] = pd.factorize(features.categories[:, i], use_na_sentinel=False)[0]
    for kind, vectors in features.vectors.items():
        if vectors.size:
            raw = np.ascontiguousarray(vectors).view(np.dtype((np.void, vectors.itemsize * vectors.shape[1])))
            codes = pd.factorize(pd.Series([row.tobytes() for row in raw.ravel()], dtype=object))[0]
            columns[MODALITIES[kind].feature] = np.where(vectors.any(axis=1), codes + 1, 0)
    return pd.DataFrame(columns, index=range(len(features)))


def _not_censored(table: pa.Table, terms: GuardTerms, decided: pa.Table | None) -> None:
    if not terms.learned_after or decided is None or not len(decided):
        return
    option = np.array(decided.column("option").to_pylist(), dtype=object)
    silent = ~np.isin(option, [*terms.learned_after, ASK_PERSON])
    if silent.mean() <= CENSORED_LIMIT:
        return
    drawn = decided.filter(pc.equal(decided.column("reason"), Reason.RANDOM_SHARE.value)).column(CASE_ID)
    drawn_labelled = int(
        pc.sum(pc.is_in(table.column(CASE_ID), value_set=pa.array(drawn.to_pylist(), pa.string()))).as_py() or 0
    )
    if terms.exploration > 0 and drawn_labelled:
        return
    options = ", ".join(sorted(set(option[silent].tolist())))
    why = "review.exploration is 0" if terms.exploration <= 0 else "no outcome of the random share is known yet"
    do = "set review.exploration above 0" if terms.exploration <= 0 else "wait until reviewers answered some of it"
    raise TrainingRefused(
        f"{int(silent.sum()):,} of {len(option):,} decided cases got {options}, after which the truth is never learned "
        f"(outcome.learned_after), and {why}: a model would learn only from what the policy let through; {do}, or name "
        "the option in outcome.learned_after if its truth is learned"
    )
