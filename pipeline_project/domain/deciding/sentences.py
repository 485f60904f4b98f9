"""What bounded a night beyond costs and places, in sentences for its page."""

from __future__ import annotations

from collections.abc import Callable

from pipeline_project.domain.deciding.exploration import Exploration
from pipeline_project.domain.deciding.policy import PolicyResult
from pipeline_project.domain.deciding.promise import Promise
from pipeline_project.domain.deciding.surge import Surge


def sentences(result: PolicyResult, money: Callable[[float], str]) -> list[str]:
    """One sentence for each thing that bounded the night; nothing about what the spec does not ask for.

    Args:
        money: writes an amount with its currency.
    """
    found = []
    if result.promise is not None:
        found.append(_promise(result.promise))
    budget = result.exploration.budget
    if budget is not None:
        found.append(_exploration(result.exploration, budget, money))
    if result.surge is not None:
        found.append(_surge(result.surge, money))
    if result.beyond:
        found.append(f"{result.beyond:,} more go to people than there are places for; they queue.")
    return found


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
