"""A refusal is an alert on the newest night's page, and is over when a newer night does not show it."""

from __future__ import annotations

import pytest

import assets.retraining
from pipeline_project.domain.core.nights import shifted
from pipeline_project.domain.lifecycle.promotion import PromotionVerdict
from pipeline_project.domain.reporting.concerns import CAPACITY_BINDS, NO_CHAMPION, key_of
from tests.assets.test_training_assets import MODEL, TRAINING, past
from tests.doubles import NIGHT, World, arrival, claims

DECIDE = ("arrivals", "cases", "quarantine", "outcomes", "scores", "decisions", "night_report")


def test_a_first_model_that_is_refused_is_told_until_one_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    world = past()
    with monkeypatch.context() as patched:
        patched.setattr(assets.retraining, "judge", lambda *_: PromotionVerdict(False, "no better than the bare rates"))
        assert world.run(NIGHT, *TRAINING).success
    alert = world.ledger.alerts[assets.retraining.FIRST_MODEL_ALERT]
    assert alert["kind"] == "model_refused" and "bare rates" in alert["message"]
    assert alert["next_command"] == f"pipeline nights claims --from {NIGHT} --to {NIGHT} --retrain"

    world.sources.rows[NIGHT] = [arrival(NIGHT, i) for i in range(4)]
    assert world.run(NIGHT, *DECIDE).success
    # one refusal is one alert
    assert [each.kind for each in world.ledger.open_alerts()] == ["model_refused"]
    assert "bare rates" in world.reports.written[NIGHT]

    after = shifted(NIGHT, 1)
    assert world.run(after, *TRAINING).success
    assert assets.retraining.FIRST_MODEL_ALERT not in world.ledger.alerts
    world.sources.rows[after] = [arrival(after, i) for i in range(4)]
    assert world.run(after, *DECIDE).success
    assert world.ledger.open_alerts() == []
    # the page of an older night, made again, speaks for nobody
    assert world.run(NIGHT, "night_report").success
    assert world.ledger.open_alerts() == []


def test_a_night_that_no_model_decides_is_told() -> None:
    world = World()
    world.sources.rows[NIGHT] = [arrival(NIGHT, i) for i in range(4)]
    assert world.run(NIGHT, *DECIDE).success
    assert world.ledger.alerts[key_of(NO_CHAMPION)]["next_command"] == "pipeline models claims"
    assert "no model decides" in world.reports.written[NIGHT]


def test_a_capacity_that_binds_for_most_is_told() -> None:
    world = past()
    assert world.run(NIGHT, *TRAINING).success
    world.spec = claims(model=MODEL, review={"cost": 0.01, "capacity": 0})
    world.sources.rows[NIGHT] = [arrival(NIGHT, i, str(40 + 10 * i)) for i in range(6)]
    assert world.run(NIGHT, *DECIDE).success
    reasons = [row["reason"] for row in world.table("decisions")]
    assert reasons.count("no_place_left") > 3
    assert world.ledger.alerts[key_of(CAPACITY_BINDS)]["next_command"] == "pipeline results claims"
    assert "found no place" in world.reports.written[NIGHT]
