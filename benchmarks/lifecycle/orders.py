"""Order lines that may come back: other costs of a warning, and training once against training every month."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from benchmarks.lifecycle.walk import Walk, trained_on, walk, with_cell
from benchmarks.tables import percent, table
from pipeline_project.commands.shared.app_context import workflow
from pipeline_project.domain.lifecycle.gates import judge_gates
from pipeline_project.domain.lifecycle.replay.compare import ReplayTerms, compare
from pipeline_project.domain.lifecycle.replay.decide import PastNights, recorded
from pipeline_project.domain.measures.intervals import resampled_totals
from pipeline_project.domain.measures.probabilities import all_metrics
from pipeline_project.domain.measures.realised_cost import realised
from pipeline_project.settings import Settings

WORKFLOW = "order_returns"
#: Of the price: what a warning on an item costs that would have been kept. The published one is 0.5.
SHARES = (0.5, 0.4, 0.3, 0.2, 0.1, 0.05)


@dataclass(frozen=True)
class Scored:
    """Decided nights with what one rhythm of training said of them.

    Attributes:
        rows: which cases of the walk; `told` of shape (cases, labels) and `problems` row by row of them.
    """

    walk: Walk
    rows: np.ndarray
    told: np.ndarray
    problems: list[str | None]

    @cached_property
    def nights(self) -> PastNights:
        return self.walk.decided(self.rows, self.told, self.problems, self.walk.policy)


def read() -> Walk:
    """
    Raises:
        SourceUnreadable: `PIPELINE_REAL_DATA` does not name the folder of the tables.
    """
    return walk(workflow(WORKFLOW), Settings.from_environ(os.environ))


def scored(found: Walk, monthly: bool) -> Scored:
    """The decided nights, by models trained at the start of each month, or by one trained before the first of them."""
    last = found.spec.nights.last
    assert last is not None
    rows = found.between(found.spec.nights.decide_from.isoformat(), last.isoformat())
    told, problems = np.full((len(rows), len(found.spec.labels)), np.nan), np.full(len(rows), None, dtype=object)
    for night, first, until in trained_on(found.spec, last, monthly):
        here = found.between(first, until)
        prediction = found.model_of(night).predict(found.features.select(here))
        told[here], problems[here] = prediction.probabilities, prediction.problems
    return Scored(found, rows, told[rows], problems[rows].tolist())


def tell_costs() -> None:
    """From where a model earns money: the published costs and five other tables."""
    found = read()
    by_model = scored(found, monthly=True)
    label = found.labels(by_model.rows)
    known, rows = label >= 0, []
    for share in SHARES:
        matrix = with_cell(found.policy.matrix, "warn", "kept", f"{share} * price")
        policy = replace(found.policy, matrix=matrix)
        decided = found.decided(by_model.rows, by_model.told, by_model.problems, policy)
        options = decided.standing["option"].to_numpy(dtype=object)
        cost = found.costs(by_model.rows, matrix)
        sides = {"this pipeline": options} | {name: np.full(len(label), name, dtype=object) for name in matrix.options}
        review = policy.terms.review_cost
        true_cost = cost[known][np.arange(int(known.sum())), :, label[known]]
        # nobody answers in a measurement: people are supposed to be right
        answers = [matrix.options[i] for i in true_cost.argmin(axis=1)]
        each = {
            name: realised(chosen[known].tolist(), answers, true_cost, matrix.options, review)
            for name, chosen in sides.items()
        }
        best = min(matrix.options, key=lambda name: float(each[name].sum()))
        gain = (each[best] - each["this pipeline"])[:, None]
        drawn = resampled_totals(gain, found.customers(by_model.rows)[known])
        low, high = np.quantile(drawn, [0.025, 0.975])
        warned = float((options == "warn").mean())
        totals = [f"{each[name].sum():,.0f}" for name in ("do_nothing", "warn", "this pipeline")]
        verdict = "earns" if low > 0 else ("loses" if high < 0 else "cannot be told")
        rows.append(
            (f"{share} · price", *totals, percent(warned), f"{gain.sum():+,.0f} ({low:+,.0f} to {high:+,.0f})", verdict)
        )
    columns = ["a warning on a kept item costs", "always do nothing", "always warn", "this pipeline", "warned"]
    columns += ["saved against the best of the two (95 %, over customers)", "the model"]
    print(table(f"{int(known.sum()):,} order lines decided under other costs, EUR", columns, rows))


def tell_retraining() -> None:
    """Training every month against training once, on the same nights, and what the gates would have said."""
    found = read()
    once, monthly = scored(found, monthly=False), scored(found, monthly=True)
    label, rows = found.labels(once.rows), []
    of_night = found.nights[once.rows]
    for name, side in (("never again", once), ("every month", monthly)):
        for span in (*sorted({night[:7] for night in of_night}), ""):
            here = (label >= 0) & np.char.startswith(of_night.astype(str), span) & np.isfinite(side.told).all(axis=1)
            told = all_metrics(side.told[here], label[here])
            month = span or "all of them"
            rows.append(
                (
                    f"{name}, {month}",
                    int(here.sum()),
                    f"{told['auc']:.4f}",
                    f"{told['log_loss']:.4f}",
                    f"{told['ece']:.4f}",
                )
            )
    print(
        table(
            "Trained once before the first decided night, or every month", ["", "cases", "auc", "log_loss", "ece"], rows
        )
    )
    _tell_challengers(found, once)


def _tell_challengers(found: Walk, once: Scored) -> None:
    """Each month's challenger on its own first month, beside the champion that was trained before all of them."""
    terms = ReplayTerms(found.spec.name, "customer", sliced=("salutation",))
    rows = []
    for night, first, until in trained_on(found.spec, found.spec.nights.last or found.spec.nights.decide_from, True)[
        1:
    ]:
        here = found.between(first, until)
        prediction = found.model_of(night).predict(found.features.select(here))
        candidate = Scored(found, here, prediction.probabilities, list(prediction.problems))
        inside = here[once.rows]
        base = Scored(found, here, once.told[inside], [p for p, x in zip(once.problems, inside, strict=True) if x])
        result = compare(
            base.nights, recorded(base.nights, found.policy), recorded(candidate.nights, found.policy),
            (found.policy, found.policy), found.outcomes, terms, (first, until),
        ).result  # fmt: skip
        money = result.money
        told = f"{money.value:+.5f} ({money.low:+.5f} to {money.high:+.5f})" if money else str(result.refused)
        failed = [v.name for v in judge_gates(result, found.spec.gates, None) if not v.passed]
        verdict = f"no: {', '.join(failed)}" if failed else "yes"
        rows.append((f"{night}, on {first} to {until}", result.cases, result.flipped, told, verdict))
    columns = ["challenger", "cases", "decided otherwise", "EUR a case against the champion", "would be proposed"]
    print(table("Challengers replayed beside the first champion", columns, rows))
