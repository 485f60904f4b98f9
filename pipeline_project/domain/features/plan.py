"""Which features a workflow's model sees."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pipeline_project.domain.core.schema import Field, FieldType
from pipeline_project.domain.features.aggregations import Aggregation
from pipeline_project.domain.features.series import SeriesPlan


@dataclass(frozen=True)
class FeaturePlan:
    """Which features a workflow's model sees.

    Attributes:
        inputs: the fields it may see, amount included.
        amount, time: the fields with those roles, if any.
        ages: other time fields, turned into days before the case's time.
        time_zone: IANA zone in which weekday and hour are read.
        history: (field, nights looked back or None for all) of each entity whose past counts.
        basket: groups of fields whose equal values make one basket within a night.
        dimensions: vectors of each modality are reduced to this many; those without a number are not used.
        labels: in the spec's order.
        clusters: whether the workflow has clusters.
        aggregations, series: features made of other rows, which are kept by night (`aggregates`).

    Raises:
        ValueError: a field that is known only after the decision is among them.
    """

    inputs: tuple[Field, ...]
    labels: tuple[str, ...]
    time_zone: str
    amount: Field | None = None
    time: Field | None = None
    ages: tuple[Field, ...] = ()
    history: tuple[tuple[str, int | None], ...] = ()
    basket: tuple[tuple[str, ...], ...] = ()
    dimensions: Mapping[str, int] = field(default_factory=dict, hash=False)
    clusters: bool = False
    late: frozenset[str] = frozenset()
    aggregations: tuple[Aggregation, ...] = ()
    series: tuple[SeriesPlan, ...] = ()

    def __post_init__(self) -> None:
        used = {f.name for f in (*self.inputs, *self.ages, self.amount, self.time) if f is not None}
        used |= {by for by, _ in self.history} | {name for group in self.basket for name in group}
        used |= {name for one in self.aggregations for name in one.field_names}
        late = self.late | {f.name for f in (*self.inputs, *self.ages, self.amount, self.time) if f and f.known_later}
        if early := sorted(used & late):
            raise ValueError(
                f"{', '.join(early)}: known only after the decision, so it cannot be a feature; take it out of "
                "model.features, model.history, model.basket and features"
            )

    def of_type(self, kind: FieldType) -> tuple[Field, ...]:
        return tuple(f for f in self.inputs if f.holds == kind)

    @property
    def kept(self) -> dict[str, str]:
        """Name and words of every feature that is made of other rows, in order."""
        of_series = {name: phrase for series in self.series for name, phrase in series.features()}
        return {one.name: one.phrase for one in self.aggregations} | of_series

    @property
    def plain_numbers(self) -> tuple[str, ...]:
        """Numbers that stand in the case itself; the others grow with what is known."""
        return tuple(f.name for f in self.of_type(FieldType.NUMBER))

    @property
    def masked(self) -> frozenset[str]:
        """Features made from one personal field, whose values are never shown."""
        personal = {f.name for f in self.inputs if f.pii and f.holds in (FieldType.NUMBER, FieldType.CATEGORY)}
        return frozenset(personal | {f"{f.name}_days_ago" for f in self.ages if f.pii})
