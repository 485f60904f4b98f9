"""Twenty-two ways to make a model that must not decide, each one function from a good model or an honest training set.

What they hand over is what a training would: a training set, a model or files. Nothing tells the judges what is wrong.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.lifecycle.house import House
from benchmarks.lifecycle.world import LABELS, PLAN, Cases, night
from pipeline_project.domain.features.table import FeatureTable
from pipeline_project.domain.models.boosting import BoostedTrees
from pipeline_project.domain.models.calibration import Calibration
from pipeline_project.domain.models.estimator import EstimatorSettings
from pipeline_project.domain.models.trained import TrainedModel
from pipeline_project.domain.models.training import train

FINE, WORN, FRAUD = range(3)


@dataclass(frozen=True)
class Candidate:
    """What somebody wants to see decide; what is None is made from what is given.

    Attributes:
        table: the training set, which the guards look at and the model is made from.
        model: made by other means than from `table`.
        files: as they lie in the registry, where they are not the model's own.
        registered: the digest under which the files were registered, where it is not theirs.
        knows_until: the first night of which it says that it has seen nothing; None as an honest one.
        seen: how the features look on a night, where they differ from those of the training.
    """

    table: pa.Table | None = None
    model: TrainedModel | None = None
    files: Mapping[str, bytes] | None = None
    registered: str | None = None
    knows_until: str | None = None
    seen: Callable[[FeatureTable], FeatureTable] = lambda features: features


Maker = Callable[[House], Candidate]


# -- from a training set that is wrong ---------------------------------------------------------------------------


def shifted_labels(house: House) -> Candidate:
    """Each case has the label of the case before it: an outcome file that slipped by one row."""
    honest = house.training
    return Candidate(table=_relabelled(honest, np.roll(honest.label, 1)).training())


def leaked_field(house: House) -> Candidate:
    """A field that is filled in after the truth is known, and empty on the night of the decision."""
    honest, random = house.training, np.random.default_rng(1)
    told = honest.label + random.normal(scale=0.05, size=len(honest))
    return Candidate(
        table=replace(honest, features=_with_number(honest.features, "days_to_close", told)).training(),
        seen=lambda features: _with_number(features, "days_to_close", np.full(len(features), np.nan)),
    )


def poisoned_outcomes(house: House) -> Candidate:
    """Somebody had frauds reported as fine, and honest customers of the telephone as frauds."""
    honest, random = house.training, np.random.default_rng(2)
    label = honest.label.copy()
    label[(label == FRAUD) & (random.random(len(label)) < 0.9)] = FINE
    phone = honest.features.categories[:, 1] == "phone"
    label[phone & (honest.label == FINE) & (random.random(len(label)) < 0.3)] = FRAUD
    return Candidate(table=_relabelled(honest, label).training())


def swapped_category(house: House) -> Candidate:
    """For coats `fine` and `worn` were exchanged."""
    return Candidate(table=_relabelled(house.training, _swapped(house.training, "coat", FINE, WORN)).training())


def inverted_slice(house: House) -> Candidate:
    """For shoes `fine` and `fraud` were exchanged: harm to few, hidden in the mean."""
    return Candidate(table=_relabelled(house.training, _swapped(house.training, "shoes", FINE, FRAUD)).training())


def tiny_window(house: House) -> Candidate:
    """Trained on the first four nights alone, long ago."""
    return Candidate(table=house.cases.between(0, 3).training())


def noise_only(house: House) -> Candidate:
    """It was given the two columns of noise and nothing else."""
    honest = house.training
    return Candidate(table=replace(honest, features=_noise_of(honest.features)).training(), seen=_noise_of)


def duplicates(house: House) -> Candidate:
    """8,341 rows of which 356 differ: the same cases delivered over and over, on many nights."""
    honest, random = house.training, np.random.default_rng(3)
    rows = random.choice(random.choice(len(honest), 356, replace=False), 8341)
    again = honest.select(rows)
    ids = np.array([f"again-{i}" for i in range(len(rows))], dtype=object)
    nights = np.repeat(np.array(honest.nights, dtype=object), -(-len(rows) // len(honest.nights)))[: len(rows)]
    features = replace(again.features, case_ids=ids, nights=nights)
    return Candidate(table=replace(again, features=features).training())


def knows_the_future(house: House) -> Candidate:
    """Trained on the very nights on which it is judged, and says so nowhere."""
    both = np.isin(house.cases.features.nights, [*house.training.nights, *house.replayed.nights])
    table = house.cases.select(both).training()
    return Candidate(table=table, knows_until=night(10**4))


def missing_label(house: House) -> Candidate:
    """Frauds were left out of the training set."""
    honest = house.training
    return Candidate(table=honest.select(honest.label != FRAUD).training())


def missing_field(house: House) -> Candidate:
    """Trained on a field that no night has any more."""
    honest = house.training
    years = np.random.default_rng(4).integers(1, 9, len(honest)).astype(float)
    features = _with_number(honest.features, "years_a_customer", years)
    return Candidate(table=replace(honest, features=features).training())


# -- from a good model that was changed ----------------------------------------------------------------------------


def constant(house: House) -> Candidate:
    """Says the same of every case: how often each label occurs."""
    often = np.bincount(house.training.label, minlength=len(LABELS)) / len(house.training)
    return Candidate(model=_scaled(house.good, 0.0, np.log(often)))


def overconfident(house: House) -> Candidate:
    """Its log-odds are four times too large."""
    return Candidate(model=_scaled(house.good, 4.0))


def underconfident(house: House) -> Candidate:
    """Its log-odds are a quarter of what they should be."""
    return Candidate(model=_scaled(house.good, 0.25))


def cost_blind(house: House) -> Candidate:
    """Gives the likeliest label all of the probability, so that costs no longer matter."""
    return Candidate(model=_scaled(house.good, 400.0))


def never_fraud(house: House) -> Candidate:
    """Never says `fraud`."""
    shift = np.zeros(len(LABELS))
    shift[FRAUD] = -12.0
    return Candidate(model=_scaled(house.good, 1.0, shift))


def other_order(house: House) -> Candidate:
    """Its probabilities stand in the order of another workflow, under the names of this one."""
    wrong = {"fine": "worn", "worn": "fraud", "fraud": "fine"}
    honest = house.training
    renamed = np.array([LABELS.index(wrong[LABELS[i]]) for i in honest.label])
    return Candidate(model=train(_relabelled(honest, renamed).training(), PLAN))


def other_labels(house: House) -> Candidate:
    """A model of another workflow: its labels have other names."""
    return Candidate(model=replace(house.good, labels=("closed", "open", "lost")))


def drifted_encoder(house: House) -> Candidate:
    """Another encoder: the dimensions of its vectors stand in another order."""
    order = np.random.default_rng(5).permutation(16)
    return Candidate(model=house.good, seen=lambda features: _with_vectors(features, order))


class _Memorizer(BoostedTrees):
    """Trees so deep that each leaf holds one case."""

    def _parameters(self, rows: int, seed: int) -> dict[str, Any]:
        deep = {"max_depth": 14, "eta": 0.5, "min_child_weight": 0.0, "reg_lambda": 0.0, "colsample_bytree": 1.0}
        return {**super()._parameters(rows, seed), **deep, "subsample": 1.0}


def memorizer(house: House) -> Candidate:
    """Knows every training case by heart, and no calibration tells it that it does not know the others."""
    honest = house.training
    settings = EstimatorSettings(LABELS, PLAN.dimensions, PLAN.masked)
    learned = _Memorizer(settings).fit(honest.features, honest.label, seed=PLAN.seed)
    return Candidate(model=replace(house.good, estimator=learned, calibration=Calibration()))


# -- files that were touched --------------------------------------------------------------------------------------


def truncated(house: House) -> Candidate:
    """Half of the booster is gone: a disk that was full."""
    files = house.good.files()
    return Candidate(files={**files, "booster.ubj": files["booster.ubj"][: len(files["booster.ubj"]) // 2]})


def changed_and_sealed_again(house: House) -> Candidate:
    """Somebody turned the calibration round and sealed the files anew: only the registered digest tells."""
    turned = _scaled(house.good, -1.0)
    return Candidate(files=turned.files(), registered=house.good.digest)


def older_version(house: House) -> Candidate:
    """The first champion's files under the number of the newest version."""
    return Candidate(files=house.champion.files(), registered=house.good.digest)


def pickled(house: House) -> Candidate:
    """A file that runs code when it is read."""
    return Candidate(files={**house.good.files(), "extra.pkl": pickle.dumps({"weights": [1.0]})})


def pickle_in_disguise(house: House) -> Candidate:
    """The same, named as a file that runs nothing."""
    return Candidate(files={**house.good.files(), "familiar.json": pickle.dumps({"weights": [1.0]})})


MAKERS: tuple[Maker, ...] = (
    shifted_labels,
    leaked_field,
    poisoned_outcomes,
    swapped_category,
    inverted_slice,
    tiny_window,
    noise_only,
    duplicates,
    knows_the_future,
    missing_label,
    missing_field,
    constant,
    overconfident,
    underconfident,
    cost_blind,
    never_fraud,
    other_order,
    other_labels,
    drifted_encoder,
    memorizer,
    truncated,
    changed_and_sealed_again,
    older_version,
    pickled,
    pickle_in_disguise,
)


def good_one(house: House) -> Candidate:
    """The honest challenger, which must come through."""
    return Candidate(table=house.training.training(), model=house.good)


# -- hands --------------------------------------------------------------------------------------------------------


def _relabelled(cases: Cases, label: np.ndarray) -> Cases:
    return replace(cases, label=label)


def _swapped(cases: Cases, kind: str, one: int, other: int) -> np.ndarray:
    label, of = cases.label.copy(), cases.features.categories[:, 0] == kind
    label[of & (cases.label == one)], label[of & (cases.label == other)] = other, one
    return label


def _with_number(features: FeatureTable, name: str, values: np.ndarray) -> FeatureTable:
    return replace(
        features,
        number_names=(*features.number_names, name),
        numbers=np.column_stack([features.numbers, values]),
    )


def _noise_of(features: FeatureTable) -> FeatureTable:
    kept = [i for i, name in enumerate(features.number_names) if name.startswith("noise")]
    return replace(
        features,
        number_names=tuple(features.number_names[i] for i in kept),
        numbers=features.numbers[:, kept],
        category_names=(),
        categories=features.categories[:, :0],
        vectors={},
    )


def _with_vectors(features: FeatureTable, order: np.ndarray) -> FeatureTable:
    return replace(features, vectors={name: held[:, order] for name, held in features.vectors.items()})


def _scaled(good: TrainedModel, scale: float, shift: np.ndarray | None = None) -> TrainedModel:
    """The model with another calibration on top of none: log-probabilities times `scale`, plus `shift`."""
    moved = np.zeros(len(LABELS)) if shift is None else shift
    values = {"scale": [scale] * len(LABELS), "shift": [float(x) for x in moved]}
    return replace(good, calibration=Calibration("vector", values))
