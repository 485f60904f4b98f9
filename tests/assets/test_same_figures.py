"""One figure, one number: night page, `pipeline results`, replay and gates say the same of the same nights."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape
from typing import Any

import numpy as np
import pytest

from assets.night_page import NightStores, gather
from pipeline_project.commands import replay as of_replay
from pipeline_project.commands.results import report_results
from pipeline_project.domain.core.model_version import ModelVersion
from pipeline_project.domain.core.nights import window_of
from pipeline_project.domain.lifecycle.gates import judge_gates
from pipeline_project.domain.models.trained import Prediction, TrainedModel
from pipeline_project.domain.reporting.page import night_markdown, render_night
from pipeline_project.domain.reporting.replay_page import PageTerms, render_replay
from pipeline_project.domain.reporting.sentences import money, percent
from pipeline_project.domain.reporting.summary import summarize
from pipeline_project.domain.reporting.timings import timings_table
from pipeline_project.domain.vectors.modalities import FileModality, InlineModality, Modality
from pipeline_project.ports.encoders import FileEncoder, TextEncoder
from pipeline_project.services.candidates import Candidate
from pipeline_project.services.past_nights import run_replay, titles
from pipeline_project.services.results import results_of
from pipeline_project.spec import WorkflowSpec
from tests.doubles import NEXT, NIGHT, WARM, MemoryRegistry, World, arrival, claims

TONIGHT, CASES = "2025-03-03", 40
MODEL = ModelVersion("claims", "1", WARM, "d" * 64, "run", {})
START = window_of(TONIGHT, "Europe/Berlin").start


class Model:
    """The dearer, the likelier worn; too sure of it by half."""

    labels = ("kept", "worn")

    def predict(self, table: Any, explain: bool = True) -> Prediction:
        worn = 0.01 + table.numbers[:, list(table.number_names).index("price")] / 400
        nothing: list[list[str]] = [[] for _ in worn]
        return Prediction(np.column_stack([1 - worn, worn]), nothing, [None] * len(worn))


@pytest.fixture(scope="module")
def world() -> World:
    """Two decided nights whose outcomes are all known when the third begins; half of what was asked is answered."""
    world = World(claims(review={"cost": 4, "capacity": 8}, gates={"effective": 2, "slice_cases": 10, "ece": 0.01}))
    world.registry = MemoryRegistry({"1": {"model": b"1"}}, versions=[MODEL])
    world.ledger.champions.append((WARM, MODEL, "first"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrainedModel, "from_files", lambda files, device="cpu": Model())
        for night in (NIGHT, NEXT, TONIGHT):
            world.sources.rows[night] = [arrival(night, i, str(5 * (i + 1))) for i in range(CASES)]
            world.gather(night)
            assert world.run(night, "scores", "decisions").success
    known = START - timedelta(hours=3)
    for night in (NIGHT, NEXT):
        ids = [f"C{night[-5:]}-{i}" for i in range(CASES)]
        world.ledger.known += [(case, "worn" if i * 7 % 40 < i / 4 else "kept", known) for i, case in enumerate(ids)]
        asked = [case for case in ids if world.ledger.decisions[case]["option"] == "ask_person"]
        world.ledger.answers |= {case: ("refund", "reject")[i % 3 == 0] for i, case in enumerate(asked) if i % 2}
        assert len(asked) > 4
    return world


class NoEncoders:
    """What a workflow without text or photos never asks for."""

    def inline(self, spec: WorkflowSpec, modality: InlineModality) -> TextEncoder:
        raise AssertionError("nothing is encoded here")

    def files(self, spec: WorkflowSpec, modality: FileModality) -> FileEncoder:
        raise AssertionError("nothing is encoded here")

    def version(self, spec: WorkflowSpec, modality: Modality) -> str:
        raise AssertionError("nothing is encoded here")


@pytest.fixture
def printed(world: World, capsys: pytest.CaptureFixture[str]) -> str:
    """What `pipeline results` prints at the moment at which the third night begins."""

    found = results_of(world.spec, world.lake, world.ledger, START)
    assert found is not None and (found.cases, found.immature_cases) == (2 * CASES, 0)
    assert 0 < found.unanswered < found.to_people < found.cases
    report_results(world.spec, found)
    return capsys.readouterr().out


@pytest.fixture
def page(world: World) -> str:
    """What the third night's page says, without its tags, and its summary."""
    spec = world.spec
    asset_names = ["arrivals", "cases", "quarantine", "scores", "decisions"]
    stores = NightStores(spec, world.lake, world.ledger, NoEncoders())
    facts = gather(stores, window_of(TONIGHT, "Europe/Berlin"), asset_names, timings_table([]))
    report = summarize(spec.report_terms, facts)
    return _words(render_night(report, None)) + night_markdown(report)


@pytest.fixture
def replayed(world: World) -> Any:
    """The same two nights under the same policy and the recorded probabilities."""
    policy = Candidate("same", None, world.spec)
    result = run_replay(world.spec, world.lake, world.ledger, world.registry, policy, (NIGHT, NEXT), START).result
    assert (result.known, result.immature, result.flips) == (2 * CASES, (), {})
    return result


def _words(html: str) -> str:
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", html)))


def _of(pattern: str, text: str) -> float:
    found = re.search(pattern, text)
    assert found is not None, f"{pattern} is not in {text[:2000]}"
    return float(found[1].replace(",", ""))


def test_the_calibration_error_is_one(world: World, printed: str, page: str, replayed: Any) -> None:
    error = _of(r"\| ece \| ([0-9.]+) \|", printed)
    assert error > 0.01
    gates = {verdict.name: verdict for verdict in judge_gates(replayed, world.spec.gates, None)}
    assert _of(r"calibration error ([0-9.]+),", gates["calibration"].detail) == error
    terms = PageTerms(world.spec.title, world.spec.currency, titles(world.spec, None))
    assert _of(r"calibration error ([0-9.]+) ", _words(render_replay(replayed, "same", 1, terms))) == error
    assert f"expected calibration error {percent(error, 1)} over" in page
    assert f"Calibration error {percent(error, 1)}" in page


def test_the_replay_prints_it_too(
    world: World, printed: str, replayed: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    of_replay._report(world.spec, replayed, "same", 1)
    told = capsys.readouterr().out
    error = re.search(r"\| ece \| ([0-9.]+) \|", printed)
    assert error is not None
    row = next(line for line in told.splitlines() if "calibration error" in line)
    assert re.findall(r"[0-9]+\.[0-9]+", row) == [error[1], error[1]]
    right = re.search(r"Right among the others: ([0-9.]+)%", printed)
    wrong = next(line for line in told.splitlines() if "wrong without people" in line)
    assert right is not None
    assert re.findall(r"([0-9.]+) %", wrong) == [f"{100 - float(right[1]):.2f}"] * 2


def test_the_log_loss_is_one(printed: str, page: str) -> None:
    assert f"log-loss {_of(r'log_loss . ([0-9.]+) ', printed):.3f}" in page


def test_what_decisions_cost_is_one(world: World, printed: str, page: str, replayed: Any) -> None:
    total = _of(r"\| this pipeline \| ([0-9.,]+) \|", printed)
    always = _of(r"\| always refund \| ([0-9.,]+) \|", printed)
    unanswered = int(_of(r"([0-9,]+) of those asked about are unanswered", printed))
    currency = world.spec.currency
    assert f"Always “Refund” would have cost {money(always, currency)}; this policy {money(total, currency)}" in page
    assert f"for {2 * CASES - unanswered} earlier decisions; {unanswered} cases that nobody has answered yet" in page
    terms = PageTerms(world.spec.title, currency, titles(world.spec, None))
    told = _words(render_replay(replayed, "same", 1, terms))
    each = money(total / (2 * CASES - unanswered), currency)
    assert f"cost of a case, where the outcome is known {each} {each}" in told


def test_the_best_simple_policy_is_one_that_the_machine_may_follow(printed: str, page: str) -> None:
    """Always rejecting would be cheaper in neither, and could not be followed: only people reject."""
    assert re.search(r"\| always refund \|.*\| \+0\.000% \|", printed)
    assert "Always “Refund” would have cost" in page
