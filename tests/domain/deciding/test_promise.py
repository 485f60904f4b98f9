"""A promised error: exact bounds, a ladder that does not look at the truth, and what follows when nothing is proved."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline_project.domain.core.costs import PolicyTerms
from pipeline_project.domain.core.model_terms import PromiseTerms
from pipeline_project.domain.core.reasons import AUTOMATED, Reason
from pipeline_project.domain.deciding import promise as promises
from pipeline_project.domain.deciding.context import DecisionContext
from pipeline_project.domain.deciding.policy import PolicyResult, decide
from pipeline_project.domain.deciding.promise import NOTHING, Evidence, Rung, certify, evidence_of, promise_holds
from pipeline_project.domain.measures.intervals import upper_share

TERMS = PromiseTerms(error=0.05, confidence=0.9)
#: Two options, each right under one label; nothing is worth asking a person for.
COST = np.array([[0.0, 10.0], [10.0, 0.0]])


def policy(capacity: int | str = "10%", review: float = 100.0, exploration: float = 0.0, **more: object) -> PolicyTerms:
    return PolicyTerms((False, False), review, capacity, exploration, "w", promise=TERMS, **more)  # type: ignore[arg-type]


def population(rng: np.random.Generator, cases: int, honest: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities, and labels that follow them; `honest` below 1 makes the model surer than it may be."""
    chance = rng.beta(0.3, 0.3, cases)
    really = honest * chance + (1 - honest) * 0.5
    return np.column_stack([1 - chance, chance]), (rng.random(cases) < really).astype(int)


def decided(probability: np.ndarray, terms: PolicyTerms, tonight: DecisionContext | None) -> PolicyResult:
    cases = len(probability)
    cost = np.broadcast_to(COST, (cases, 2, 2))
    return decide([f"C{i}" for i in range(cases)], probability, cost, [None] * cases, terms, tonight)


def evidence(probability: np.ndarray, label: np.ndarray, review: float = 100.0) -> Evidence:
    return evidence_of(probability, np.broadcast_to(COST, (len(label), 2, 2)), label, (False, False), review)


@pytest.mark.parametrize(("error", "confidence"), [(0.05, 0.9), (0.01, 0.95), (0.2, 0.5)])
def test_the_fewest_cases_that_prove_a_promise(error: float, confidence: float) -> None:
    fewest = promises.fewest(PromiseTerms(error, confidence))
    assert upper_share(0, fewest, 1 - confidence) <= error < upper_share(0, fewest - 1, 1 - confidence)


# -- risk ----------------------------------------------------------------------------------------------------


def test_the_risk_is_the_chance_that_another_option_was_cheaper() -> None:
    cost = np.array([[[0.0, 10.0, 4.0], [2.0, 1.0, 4.0 + 1e-12]]])
    probability = np.array([[0.7, 0.2, 0.1]])
    assert promises.risk_of(probability, cost, np.array([0])) == pytest.approx([0.2])
    assert promises.risk_of(probability, cost, np.array([1])) == pytest.approx([0.7])  # the last label is a tie
    assert np.isnan(promises.risk_of(probability, cost, np.array([-1]))).all()


def test_evidence_counts_a_refusal_that_a_person_would_have_made_as_a_mistake() -> None:
    cost = np.tile(np.array([[0.0, 10.0], [20.0, 0.0]]), (3, 1, 1))
    probability = np.array([[0.9, 0.1], [0.9, 0.1], [np.nan, np.nan]])
    found = evidence_of(probability, cost, np.array([0, 1, 0]), (False, True), 3.0)
    assert found.risk == pytest.approx([0.1, 0.1])
    assert found.wrong.tolist() == [False, True]
    assert found.benefit == pytest.approx([-2.0, -2.0])  # 0.1 * 10 for the machine, 3 for a person


def test_costs_nobody_knows_are_no_evidence() -> None:
    assert len(evidence_of(np.array([[0.5, 0.5]]), np.full((1, 2, 2), np.nan), np.array([0]), (False, False), 1.0)) == 0


# -- the ladder ----------------------------------------------------------------------------------------------


def evidence_with(risk: list[float], wrong: list[bool]) -> Evidence:
    return Evidence(np.array(risk), np.full(len(risk), -1.0), np.array(wrong))


def test_the_loosest_rule_that_is_proved_without_a_failure_before_it() -> None:
    risk = [0.01] * 200 + [0.1] * 200 + [0.2] * 200 + [0.3] * 2000
    wrong = [False] * 400 + [True] * 40 + [False] * 160 + [False] * 2000
    rungs = [Rung(t, 0.0, n) for t, n in [(0.01, 20), (0.1, 40), (0.2, 60), (0.3, 260)]]
    found = certify(rungs, 260, evidence_with(risk, wrong), TERMS)
    # at 0.3 the rule would pass again (40 in 2600), but the ladder broke at 0.2
    assert (found.kept, found.threshold, found.evidence, found.wrong) == (True, 0.1, 400, 0)
    assert found.bound <= TERMS.error


def test_rules_that_nothing_could_prove_are_not_begun_with() -> None:
    risk = [0.001] * 10 + [0.01] * 190
    rungs = [Rung(0.001, 0.0, 1), Rung(0.01, 0.0, 20)]
    found = certify(rungs, 20, evidence_with(risk, [False] * 200), TERMS)
    assert (found.kept, found.threshold) == (True, 0.01)


def test_the_ladder_is_laid_out_without_a_look_at_the_truth() -> None:
    risk = [0.01] * 200
    rungs = [Rung(0.005, 0.0, 5), Rung(0.01, 0.0, 20)]
    # tonight's share below 0.005 lets 50 past cases be expected there: that is where the ladder begins, and as there
    # are none the promise fails, whatever looser rules would have shown
    found = certify([rungs[0], rungs[0], rungs[1]], 20, evidence_with(risk, [False] * 200), PromiseTerms(0.2, 0.9))
    assert (found.kept, found.evidence, found.bound) == (False, 0, 1.0)


def test_what_a_person_would_have_been_asked_about_is_no_evidence_for_what_is_decided_alone() -> None:
    # a tenth of what saves nothing is wrong, and none of the many that a person would have seen
    past = Evidence(np.full(4000, 0.01), np.repeat([-1.0, 5.0], [200, 3800]), np.arange(4000) < 20)
    alone = certify([Rung(0.01, 0.0, 10)], 10, past, TERMS)
    assert (alone.kept, alone.evidence, alone.wrong) == (False, 200, 20)
    crowded = certify([Rung(0.01, 9.0, 10)], 10, past, TERMS)
    assert (crowded.kept, crowded.evidence, crowded.wrong) == (True, 4000, 20)


@pytest.mark.parametrize("cases", [0, 10, 21])
def test_too_little_evidence_proves_nothing_and_says_how_much_would(cases: int) -> None:
    found = certify([Rung(0.1, 0.0, 5)], 5, evidence_with([0.01] * cases, [False] * cases), TERMS)
    assert (found.kept, found.threshold, found.evidence) == (False, NOTHING, cases)
    assert f"{cases} past cases" in found.why
    assert str(promises.fewest(TERMS)) in found.why


def test_a_night_without_cases_to_decide_promises_nothing() -> None:
    assert not certify([], 0, evidence_with([0.01] * 300, [False] * 300), TERMS).kept
    assert len(promises.thresholds(np.empty(0))) == 0


@pytest.mark.parametrize(("signals", "holds"), [([], True), (False, True), (True, False), (["field:price"], False)])
def test_drift_breaks_the_premise(signals: bool | list[str], holds: bool) -> None:
    assert promise_holds(signals) is holds


# -- the night -----------------------------------------------------------------------------------------------


def test_above_the_threshold_people_decide_whatever_it_costs_and_queue() -> None:
    rng = np.random.default_rng(3)
    past = evidence(*population(rng, 4000))
    probability, _ = population(rng, 500)
    result = decided(probability, policy(capacity=10), DecisionContext(evidence=past))
    promise = result.promise
    assert promise is not None
    assert promise.kept
    risk = np.minimum(probability[:, 0], probability[:, 1])
    assert [reason == Reason.PROMISE for reason in result.reason] == (risk > promise.threshold).tolist()
    assert result.reason.count(Reason.CHEAPEST) > 100
    assert result.beyond == result.reason.count(Reason.PROMISE) - 10 > 0


@pytest.mark.parametrize(
    "tonight",
    [
        DecisionContext(),
        DecisionContext(evidence=evidence(*population(np.random.default_rng(1), 4000)), signals=("field:price",)),
        DecisionContext(evidence=evidence(*population(np.random.default_rng(1), 4000, honest=0.2))),
    ],
    ids=["no evidence", "drift", "a model that is too sure"],
)
def test_a_promise_that_is_not_proved_means_that_people_decide(tonight: DecisionContext) -> None:
    probability, _ = population(np.random.default_rng(2), 300)
    result = decided(probability, policy(capacity=5, exploration=0.1), tonight)
    assert (result.option == -1).all()
    assert set(result.reason) == {Reason.PROMISE, Reason.RANDOM_SHARE}
    assert result.promise is not None
    assert not result.promise.kept
    assert result.promise.lapsed == tonight.signals
    assert result.beyond == 295


def test_without_a_promise_nobody_is_barred() -> None:
    probability, _ = population(np.random.default_rng(2), 300)
    bare = PolicyTerms((False, False), 100.0, 5, 0.0, "w")
    assert decided(probability, bare, DecisionContext(signals=("field:price",))).promise is None
    assert set(decided(probability, bare, DecisionContext()).reason) == {Reason.CHEAPEST}


def test_a_model_without_evidence_of_its_own_decides_nothing_alone() -> None:
    rng = np.random.default_rng(3)
    past = evidence(*population(rng, 4000))
    probability, _ = population(rng, 500)
    covered = np.arange(500) % 2 == 0
    result = decided(probability, policy(), DecisionContext(evidence=past, covered=covered))
    assert (result.option[~covered] == -1).all()
    assert (result.option[covered] >= 0).any()


def test_doubts_have_their_places_after_what_the_promise_bars() -> None:
    rng = np.random.default_rng(4)
    past = evidence(*population(rng, 6000), review=1.0)
    probability, _ = population(rng, 600)
    bare = decided(probability, PolicyTerms((False, False), 1.0, 60, 0.0, "w"), None)
    result = decided(probability, policy(capacity=60, review=1.0), DecisionContext(evidence=past))
    # a barred case that had a place anyway is told as the doubt it is
    assert result.reason.count(Reason.DOUBT) >= 60
    first = {i for i, reason in enumerate(bare.reason) if reason == Reason.DOUBT}
    assert all(result.reason[i] in (Reason.DOUBT, Reason.NO_PLACE_LEFT) for i in first)
    assert result.promise is not None
    alone = [i for i, reason in enumerate(result.reason) if reason in AUTOMATED]
    assert probability[alone].min(axis=1).max() <= result.promise.threshold


# -- is it true? ---------------------------------------------------------------------------------------------


def kept_share(
    honest: float, review: float, capacity: int | str, past_cases: int, nights: int = 200
) -> tuple[float, float]:
    """Share of seeded nights whose rule, judged on 60,000 fresh cases, keeps the promise; share decided alone."""
    held, alone = [], []
    for seed in range(nights):
        rng = np.random.default_rng(seed)
        past = evidence(*population(rng, past_cases, honest), review=review)
        probability, _ = population(rng, 400, honest)
        result = decided(probability, policy(capacity=capacity, review=review), DecisionContext(evidence=past))
        mine = np.array([reason in AUTOMATED for reason in result.reason])
        alone.append(mine.mean())
        # the error that this night's decisions have in truth: the chance of the label that makes them wrong
        really = honest * probability + (1 - honest) * 0.5
        wrong = really[np.arange(400), 1 - result.option.clip(0)]
        held.append(not mine.any() or _true_error(result, honest, review, wrong, mine) <= TERMS.error)
    return float(np.mean(held)), float(np.mean(alone))


def _true_error(result: PolicyResult, honest: float, review: float, wrong: np.ndarray, mine: np.ndarray) -> float:
    """Of the rule in the population: the same cut-offs on fresh cases."""
    assert result.promise is not None
    chance = np.random.default_rng(10_000).beta(0.3, 0.3, 60_000)
    risk = np.minimum(chance, 1 - chance)
    cut = max((result.benefit[mine]).max(), 0.0)
    rule = (risk <= result.promise.threshold) & (10 * risk - review <= cut)
    return float((honest * risk + (1 - honest) * 0.5)[rule].mean()) if rule.any() else 0.0


@pytest.mark.parametrize(
    ("honest", "review", "capacity", "past"),
    [(1.0, 100.0, 0, 2000), (0.97, 1.0, 10, 800), (0.93, 1.0, 40, 1500), (0.9, 100.0, 0, 2000)],
)
def test_the_promise_is_kept_as_often_as_promised(honest: float, review: float, capacity: int, past: int) -> None:
    held, _ = kept_share(honest, review, capacity, past)
    assert held >= TERMS.confidence


def test_an_honest_model_decides_much_alone() -> None:
    assert kept_share(1.0, 100.0, 0, 2000, nights=40)[1] > 0.5


@pytest.mark.parametrize(("places", "asked"), [(25, 0), (40, 10), (45, 15)])
def test_a_doubt_of_little_risk_gives_its_place_to_what_may_not_be_decided_alone(places: int, asked: int) -> None:
    risky, dear = 30, 20
    risk = np.repeat([0.4, 0.01], [risky, dear])
    amount = np.concatenate([np.full(risky, 1.0), 1000.0 + np.arange(dear)])
    cost = amount[:, None, None] * np.array([[0.0, 1.0], [1.0, 0.0]])
    past = Evidence(np.repeat([0.01, 0.4], 1000), np.tile([-1.0, 8.0], 1000), np.arange(2000) % 5 < 2)
    past.wrong[:1000] = False
    terms = PolicyTerms((False, False), 2.0, places, 0.0, "w", promise=TERMS)
    ids = [f"C{i}" for i in range(risky + dear)]
    result = decide(
        ids, np.column_stack([1 - risk, risk]), cost, [None] * len(ids), terms, DecisionContext(evidence=past)
    )
    assert result.promise is not None
    assert result.promise.threshold == pytest.approx(0.01)
    assert set(result.reason[:risky]) == {Reason.PROMISE}
    # the dearest have what is left
    assert result.reason[risky:] == [Reason.NO_PLACE_LEFT] * (dear - asked) + [Reason.DOUBT] * asked
    assert result.beyond == max(0, risky - places)
