"""What decisions made without people came to: how many, how often wrong, fraud found and lost, and days of waiting."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pyarrow as pa

from benchmarks.lifecycle import promising
from benchmarks.tables import percent, table
from pipeline_project.domain.core.costs import case_costs
from pipeline_project.domain.core.model_terms import PromiseTerms
from pipeline_project.domain.core.reasons import ASK_PERSON
from pipeline_project.domain.core.schema import number_columns
from pipeline_project.domain.deciding.promise import Promise, Rung, certify, evidence_of, thresholds
from pipeline_project.domain.measures.intervals import upper_share
from pipeline_project.domain.measures.maturity import matured_decisions
from pipeline_project.domain.measures.realised_cost import dearer
from pipeline_project.spec import WorkflowSpec

#: What the field reports and what was aimed at: fewer cases to people than all of them, at this error of the others.
FIELD, GOAL, GOAL_ERROR, CONFIDENCE = 0.60, 0.80, 0.01, 0.95
FRAUD = "fraud"


@dataclass(frozen=True)
class Truth:
    """Decided cases whose outcome is known, in order of nights.

    Attributes:
        night, option: of each decision.
        probability: shape (cases, labels), NaN where there was none.
        label: index of the true label.
        cost: shape (cases, options, labels), in the workflow's currency.
        waited: days from the night to the outcome.
    """

    night: np.ndarray
    option: np.ndarray
    probability: np.ndarray
    label: np.ndarray
    cost: np.ndarray
    waited: np.ndarray

    def __len__(self) -> int:
        return len(self.label)

    @property
    def alone(self) -> np.ndarray:
        return np.asarray(self.option != ASK_PERSON)

    def select(self, rows: np.ndarray) -> Truth:
        """The rows of a mask."""
        return Truth(
            self.night[rows], self.option[rows], self.probability[rows], self.label[rows], self.cost[rows],
            self.waited[rows],
        )  # fmt: skip


@dataclass(frozen=True)
class Automation:
    """The figures; money in the workflow's currency.

    Attributes:
        wrong: decisions without people for which another option was cheaper given the truth.
        bound: exact upper bound of their share.
        fraud_stake: what the frauds would have cost at most; `fraud_lost` what those cost that were decided alone.
        days, days_of_all: mean days until an honest customer's case was settled, and if people settled every case.
    """

    cases: int
    to_people: int
    wrong: int
    bound: float
    fraud_stake: float
    fraud_lost: float
    days: float
    days_of_all: float

    @property
    def alone(self) -> int:
        return self.cases - self.to_people

    @property
    def error(self) -> float:
        return self.wrong / self.alone if self.alone else float("nan")


def figures(truth: Truth, options: tuple[str, ...], labels: tuple[str, ...]) -> Automation:
    """
    Args:
        options, labels: in the order of the cost matrix.
    """
    rows, alone = np.arange(len(truth)), truth.alone
    chosen = np.array([options.index(name) if name != ASK_PERSON else 0 for name in truth.option], dtype=int)
    told = truth.cost[rows, :, truth.label]
    wrong = alone & dearer(told[rows, chosen], told.min(axis=1))
    fraud = truth.label == labels.index(FRAUD) if FRAUD in labels else np.zeros(len(truth), dtype=bool)
    honest = ~fraud
    return Automation(
        cases=len(truth),
        to_people=int((~alone).sum()),
        wrong=int(wrong.sum()),
        bound=upper_share(int(wrong.sum()), int(alone.sum()), 1 - CONFIDENCE),
        fraud_stake=float(told.max(axis=1)[fraud].sum()),
        fraud_lost=float(told[rows, chosen][fraud & alone].sum()),
        days=float(np.where(alone, 0.0, truth.waited)[honest].mean()) if honest.any() else float("nan"),
        days_of_all=float(truth.waited[honest].mean()) if honest.any() else float("nan"),
    )


def promised(truth: Truth, spec: WorkflowSpec, terms: PromiseTerms) -> tuple[Promise, int, int, int]:
    """The promise certified on the earlier half of the nights and kept, or not, on the later one.

    Returns:
        The promise; then of the later half: its cases, those decided alone under it, and how many of these were wrong.
    """
    nights = np.unique(truth.night)
    early = truth.night < nights[len(nights) // 2]
    denies, review = spec.policy_terms.denies, spec.policy_terms.review_cost
    past, later = (
        evidence_of(part.probability, part.cost, part.label, denies, review)
        for part in (truth.select(early), truth.select(~early))
    )
    rungs = [Rung(float(at), np.inf, int((later.risk <= at).sum())) for at in thresholds(later.risk)]
    promise = certify(rungs, len(later), past, terms)
    taken = later.risk <= promise.threshold
    return promise, int((~early).sum()), int(taken.sum()), int(later.wrong[taken].sum())


def read(spec: WorkflowSpec) -> tuple[pa.Table, pa.Table, pd.DataFrame] | None:
    """Decisions and cases of the lake, outcomes of the ledger, of the decided nights; None if there are none."""
    from pipeline_project.commands.shared.app_context import lake, prepare

    context = prepare()
    tables, first = lake(context.settings), spec.nights.decide_from.isoformat()
    decisions = tables.read_span(spec.name, "decisions", first, "9999-12-31")
    cases = tables.read_span(spec.name, "cases", first, "9999-12-31")
    if decisions is None or cases is None or not len(decisions):
        return None
    outcomes = context.ledger.outcomes_known(spec.name, datetime.now(UTC))
    latest = outcomes.sort_values("known_at", kind="stable").drop_duplicates("case_id", keep="last")
    return decisions, cases, latest.reset_index(drop=True)


def truth_of(spec: WorkflowSpec, decisions: pa.Table, cases: pa.Table, outcomes: pd.DataFrame) -> Truth | None:
    """Decisions and what is known of their cases; None where nothing is.

    Args:
        outcomes: case_id, label, known_at, one row a case.
    """
    known, of_cases = matured_decisions(decisions, cases, outcomes)
    if not len(known):
        return None
    order = np.argsort(known["night"].to_numpy(), kind="stable")
    when = known[["case_id"]].merge(outcomes[["case_id", "known_at"]], on="case_id", how="left")["known_at"]
    began = pd.to_datetime(known["night"]).dt.tz_localize("UTC")
    nothing = [np.nan] * len(spec.labels)
    told = [p if isinstance(p, (list, np.ndarray)) and len(p) else nothing for p in known["probabilities"]]
    return Truth(
        night=known["night"].to_numpy(dtype=object),
        option=known["option"].to_numpy(dtype=object),
        probability=np.array([list(p) for p in told], dtype=float),
        label=np.array([spec.labels.index(label) for label in known["label"]], dtype=int),
        cost=case_costs(spec.cost_matrix, number_columns(of_cases), len(of_cases)),
        waited=((pd.to_datetime(when, utc=True) - began).dt.total_seconds() / 86400).to_numpy(float),
    ).select(order)


def tell(name: str) -> None:
    """Prints the tables for one workflow of this home."""
    from pipeline_project.commands.shared.app_context import workflow

    spec = workflow(name)
    found = read(spec)
    truth = None if found is None else truth_of(spec, *found)
    if found is None or truth is None:
        raise SystemExit(f"nothing of {name} is decided with a known outcome; run `pipeline nights {name}` first")
    print(told(truth, spec))
    print(promising.told(spec, *found))


def told(truth: Truth, spec: WorkflowSpec) -> str:
    """Both tables."""
    found = figures(truth, spec.cost_matrix.options, spec.labels)
    fewer = 1 - found.to_people / found.cases
    saved = found.fraud_stake - found.fraud_lost
    rows = [
        ("decided, outcome known", found.cases),
        ("to people", f"{found.to_people:,} ({percent(found.to_people / found.cases)})"),
        ("fewer than everything", f"-{percent(fewer)} (field -{FIELD:.0%}, goal -{GOAL:.0%})"),
        ("wrong of those decided alone", f"{found.wrong:,} of {found.alone:,} ({found.error:.2%})"),
        (f"exact bound, {CONFIDENCE:.0%}", f"{found.bound:.2%} (goal {GOAL_ERROR:.0%})"),
        (f"fraud found, {spec.currency}", f"{saved:,.2f} of {found.fraud_stake:,.2f}"),
        (f"fraud lost, {spec.currency}", f"{found.fraud_lost:,.2f}"),
        ("days until an honest case is settled", f"{found.days:.2f} (everything to people: {found.days_of_all:.2f})"),
    ]
    first = table(f"Decisions of {spec.name} made without people", ["", "figure"], rows)
    return "\n".join([first, _promises(truth, spec)])


def _promises(truth: Truth, spec: WorkflowSpec) -> str:
    own = spec.policy.promise or PromiseTerms(GOAL_ERROR, CONFIDENCE)
    wanted = {
        terms.error: terms for terms in (PromiseTerms(GOAL_ERROR, CONFIDENCE), own, PromiseTerms(0.05, CONFIDENCE))
    }
    rows = []
    for error in sorted(wanted):
        promise, cases, alone, wrong = promised(truth, spec, wanted[error])
        bound = upper_share(wrong, alone, 1 - CONFIDENCE) if alone else float("nan")
        share = f"{wrong:,} ({wrong / alone:.2%}, bound {bound:.2%})" if alone else "–"
        kept = "nothing promised" if not promise.kept else ("kept" if wrong <= error * alone else "not kept")
        rows.append((f"{error:.0%}", f"{alone:,} of {cases:,} ({percent(alone / cases)})", share, kept, promise.why))
    columns = ["promised error", "decided alone", "wrong", "", "certified on the earlier nights"]
    return table("Promises certified on the earlier half of the nights, seen on the later half", columns, rows)
