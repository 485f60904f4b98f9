"""What bounded a night beyond costs and places, in sentences for its page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa

from pipeline_project.domain.core.schema import NIGHT
from pipeline_project.domain.deciding.exploration import Exploration
from pipeline_project.domain.deciding.policy import PolicyResult
from pipeline_project.domain.deciding.promise import Promise
from pipeline_project.domain.deciding.surge import Surge

#: What bounded a night: one row, none of a night that was not decided. `places` is how many answers people can give.
BOUNDS = pa.schema(
    [
        pa.field(NIGHT, pa.string(), nullable=False),
        pa.field("places", pa.int64(), nullable=False),
        pa.field("sentences", pa.list_(pa.string()), nullable=False),
    ]
)


@dataclass(frozen=True, slots=True)
class NightBounds:
    """What bounded a night beyond costs: the places that there were, and sentences on the rest."""

    places: int
    sentences: tuple[str, ...]

    def table(self, night: str) -> pa.Table:
        """As BOUNDS."""
        return pa.Table.from_pylist(
            [{NIGHT: night, "places": self.places, "sentences": [*self.sentences]}], schema=BOUNDS
        )

    @classmethod
    def of(cls, table: pa.Table | None) -> NightBounds | None:
        """What BOUNDS say of a night; None where nothing was decided, or it was before they were kept."""
        rows = [] if table is None else table.to_pylist()
        return next((cls(row["places"], tuple(row["sentences"])) for row in rows), None)


def sentences(result: PolicyResult, money: Callable[[float], str]) -> list[str]:
    """One sentence for each thing that bounded the night; nothing about what the spec does not ask for.

    Args:
        money: writes an amount with its currency.
    """
    lines = []
    if result.promise is not None:
        lines.append(_promise(result.promise))
    budget = result.exploration.budget
    if budget is not None:
        lines.append(_exploration(result.exploration, budget, money))
    if result.surge is not None:
        lines.append(_surge(result.surge, money))
    if result.beyond:
        lines.append(f"{result.beyond:,} more go to people than there are places for; they queue.")
    return lines


def _promise(promise: Promise) -> str:
    if promise.kept:
        return (
            f"Promised: at most {promise.error:.2%} of the decisions made without people are wrong. What has a risk "
            f"above {promise.threshold:.2%} goes to people ({promise.why})."
        )
    state = "has lapsed" if promise.lapsed else "does not hold yet"
    return f"The promise of at most {promise.error:.2%} wrong decisions {state}, so people decide: {promise.why}."


def _exploration(chance: Exploration, budget: float, money: Callable[[float], str]) -> str:
    text = f"The random share costs {money(chance.expected)} in expectation beyond the cheapest decisions"
    text += f", {money(chance.realised)} in the {chance.drawn:,} drawn"
    text += f"; its budget is {money(budget)}"
    if chance.rate < chance.declared:
        text += f", so {chance.rate:.2%} were drawn instead of {chance.declared:.2%}"
    return f"{text}."


def _surge(surge: Surge, money: Callable[[float], str]) -> str:
    text = f"A surge: {surge.cases:,} cases where {surge.usual:,.0f} are usual, with {surge.places:,} places. "
    text += f"{surge.waiting:,} in doubt wait for a person beyond the places"
    if surge.wait_below:
        text += f"; {surge.small:,} in which an answer saves less than {money(surge.wait_below)} were decided without "
        text += f"one, and {surge.sampled:,} of this kind are looked at as a sample"
    return f"{text}."
