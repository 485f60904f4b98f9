"""What a night costs: by option, against always doing the same, and what earlier decisions really cost."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from pipeline_project.domain.core.reasons import ASK_PERSON, Reason
from pipeline_project.domain.measures.intervals import Interval, total_intervals
from pipeline_project.domain.measures.maturity import Matured
from pipeline_project.domain.measures.realised_cost import best_constant, realised_of
from pipeline_project.domain.reporting.facts import ReportTerms
from pipeline_project.domain.reporting.sentences import count, money, percent

#: Closer than this to a constant policy, a model changes next to nothing.
NEGLIGIBLE = 0.001


@dataclass(frozen=True)
class OptionLine:
    """One option's share of a night; money in the workflow's currency.

    Attributes:
        amount: summed over its cases with a known amount, None if no case has one.
        expected_cost: summed over its cases with a known expectation, None if there is none.
    """

    option: str
    title: str
    cases: int
    amount: float | None
    expected_cost: float | None
    denies: bool
    acts: bool


@dataclass(frozen=True)
class ConstantLine:
    """Always the same option; `open` says whether the policy itself may choose it."""

    option: str
    title: str
    cost: float
    open: bool


@dataclass(frozen=True)
class Comparison:
    """A policy beside the constant ones, over the same cases.

    Attributes:
        cases: how many could be compared (every expected cost known, or the outcome known).
        policy_cost: of this policy, review cost included.
        constants: in the spec's order.
        best: the cheapest constant policy open to the machine.
        differ: cases that this policy does not treat as the best constant one would.
        acted: cases with an option that leads to an action.
        random_cost: what the random share costs above the cheapest option, part of `policy_cost`.
        unanswered: cases with a known outcome that people were asked about and have not answered; they are in no sum.
        interval: of the saving against `best`, over customers; only where outcomes are known.
    """

    cases: int
    policy_cost: float
    constants: tuple[ConstantLine, ...]
    best: ConstantLine
    differ: int
    acted: int
    random_cost: float = 0.0
    interval: Interval | None = None
    unanswered: int = 0

    @property
    def saving(self) -> float:
        return self.best.cost - self.policy_cost

    @property
    def negligible(self) -> bool:
        """The policy is within 0.1 % of a constant one."""
        return abs(self.saving) <= NEGLIGIBLE * abs(self.best.cost)


def by_option(decisions: pd.DataFrame, terms: ReportTerms) -> tuple[OptionLine, ...]:
    """Counts and money by option that the policy chose, in the spec's order, options not chosen included."""
    lines = []
    for option, title in terms.options.items():
        chosen = decisions[decisions["option"] == option]
        costs = [expected_cost_of(row, option, terms) for row in chosen["expected_costs"]]
        lines.append(
            OptionLine(
                option=option,
                title=title,
                cases=len(chosen),
                amount=known_sum(chosen["amount"]),
                expected_cost=known_sum(costs),
                denies=option in terms.denying,
                acts=option in terms.acts,
            )
        )
    return tuple(lines)


def expected_cost_of(costs: list[float] | None, option: str, terms: ReportTerms) -> float:
    """One cell of a decision's expected costs; NaN where nothing is known."""
    position = list(terms.options).index(option)
    value = None if costs is None else costs[position]
    return float("nan") if value is None else float(value)


def known_sum(values: object) -> float | None:
    """The sum of the values that are known, None if none is."""
    numbers = pd.to_numeric(pd.Series(values, dtype=object), errors="coerce").to_numpy(dtype=float)
    finite = numbers[np.isfinite(numbers)]
    return float(finite.sum()) if finite.size else None


def compare_expected(decisions: pd.DataFrame, terms: ReportTerms) -> Comparison | None:
    """This night's policy against always choosing one option, in expected cost; None if no case has one."""
    costs, _ = _matrix(decisions["expected_costs"].tolist(), len(terms.options))
    person = pd.to_numeric(decisions["person_cost"], errors="coerce").to_numpy(dtype=float)
    options = decisions["option"].to_numpy(dtype=object)
    paid = np.where(options == ASK_PERSON, person, _chosen(costs, options, terms))
    usable = np.isfinite(costs).all(axis=1) & np.isfinite(paid)
    if not usable.any():
        return None
    random = usable & (decisions["reason"] == Reason.RANDOM_SHARE).to_numpy()
    cheapest = pd.to_numeric(decisions["cheapest_cost"], errors="coerce").to_numpy(dtype=float)
    extra = np.nansum(np.where(random, paid - cheapest, 0.0))
    return _comparison(paid[usable], costs[usable], options[usable], terms, random_cost=float(extra))


def compare_realised(matured: Matured, terms: ReportTerms) -> Comparison | None:
    """What earlier decisions really cost, now that their outcomes are known, against always one option.

    A question that nobody has answered has cost nothing yet, so it is counted apart and is in none of the sums.
    """
    realised = realised_of(
        matured.decisions, matured.cost, tuple(terms.options), terms.labels, terms.policy.review_cost
    )
    counted = realised.counted
    if not counted.any():
        return None
    paid, true_cost = realised.paid[counted], realised.true_cost[counted]
    compared = _comparison(paid, true_cost, realised.option[counted], terms)
    saved = true_cost[:, list(terms.options).index(compared.best.option)] - paid
    (interval,) = total_intervals(saved[:, None], matured.customers[realised.rows][counted])
    return replace(compared, unanswered=int(realised.unanswered.sum()), interval=interval)


def _comparison(
    paid: np.ndarray, costs: np.ndarray, options: np.ndarray, terms: ReportTerms, random_cost: float = 0.0
) -> Comparison:
    totals = costs.sum(axis=0)
    constants = tuple(
        ConstantLine(name, title, float(total), name not in terms.denying)
        for (name, title), total in zip(terms.options.items(), totals, strict=True)
    )
    best = constants[best_constant(totals, terms.policy.denies)]
    return Comparison(
        cases=len(paid),
        policy_cost=float(paid.sum()),
        constants=constants,
        best=best,
        differ=int((options != best.option).sum()),
        acted=int(np.isin(options.astype(str), sorted(terms.acts)).sum()),
        random_cost=random_cost,
    )


def comparison_sentence(compared: Comparison, currency: str, tense: str = "would cost") -> str:
    """The policy against the best constant one, without flattering it."""
    best, ours = money(compared.best.cost, currency), money(compared.policy_cost, currency)
    start = f"Always “{compared.best.title}” {tense} {best}; this policy {ours}"
    if compared.negligible:
        others = f"{compared.differ:,} of {count(compared.cases, 'case')}"
        verb = "is" if compared.differ == 1 else "are"
        return f"{start}: the model changes next to nothing. {others} {verb} treated otherwise."
    share = abs(compared.saving) / abs(compared.best.cost) if compared.best.cost else float("nan")
    side = "less" if compared.saving > 0 else "more"
    gap = money(abs(compared.saving), currency)
    return f"{start}, {gap} {side}." if np.isnan(share) else f"{start}, {gap} ({percent(share, 1)}) {side}."


def _matrix(rows: list[list[float] | None], width: int) -> tuple[np.ndarray, np.ndarray]:
    """Lists as an array with NaN rows for those that are missing, and which rows are there."""
    there = np.array([row is not None for row in rows], dtype=bool)
    matrix = np.full((len(rows), width), np.nan)
    for i in np.flatnonzero(there):
        matrix[i] = np.array(rows[i], dtype=float)
    return matrix, there


def _chosen(costs: np.ndarray, options: np.ndarray, terms: ReportTerms) -> np.ndarray:
    """The cost of the option chosen in each row, NaN where it is none of the spec's (a person was asked)."""
    names = {name: i for i, name in enumerate(terms.options)}
    columns = np.array([names.get(option, -1) for option in options], dtype=int)
    picked: np.ndarray = costs[np.arange(len(options)), np.maximum(columns, 0)]
    return np.where(columns >= 0, picked, np.nan)
