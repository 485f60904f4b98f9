"""Only decisions that stand for all cases of their night may prove a promise."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline_project.domain.deciding.evidence import LOOKED_AT, standing_for_all, with_truth
from pipeline_project.domain.deciding.policy import random_draw


def row(case: str, night: str = "2025-03-01", **more: Any) -> dict[str, Any]:
    usual = {"option": "refund", "reason": "cheapest", "propensity": 0.1, "probabilities": [0.9, 0.1]}
    return {"night": night, "case_id": case, **usual, "model_version": "2", **more}


def rows(*found: dict[str, Any]) -> pd.DataFrame:
    return pd.DataFrame(list(found), columns=LOOKED_AT)


def kept(frame: pd.DataFrame, learned_after: tuple[str, ...] = (), since: str | None = None) -> list[str]:
    return standing_for_all(frame, "2", since, learned_after, "w")["case_id"].tolist()


def test_of_tonights_model_alone_and_of_nights_it_did_not_learn_from() -> None:
    frame = rows(
        row("old", night="2025-02-01"),
        row("other", model_version="1"),
        row("nobody", model_version=None, probabilities=None),
        row("failed", probabilities=None),
        row("mine"),
        row("mine"),
    )
    assert kept(frame, since="2025-02-02") == ["mine"]
    assert kept(frame) == ["old", "mine"]
    assert standing_for_all(frame, None, None, (), "w").empty


def test_where_every_truth_is_learned_every_decision_counts() -> None:
    frame = rows(row("a"), row("b", option="ask_person", reason="doubt"), row("c", option="reject"))
    assert kept(frame) == ["a", "b", "c"]


def test_where_some_truths_are_never_learned_only_the_random_share_counts() -> None:
    asked: dict[str, Any] = {"option": "ask_person", "propensity": 1.0}
    frame = rows(
        row("alone"), row("doubt", **asked | {"reason": "doubt"}), row("drawn", **asked | {"reason": "random_share"})
    )
    assert kept(frame.assign(propensity=1.0), ("refund",)) == ["drawn"]


def test_a_night_of_which_people_saw_everything_counts_whole() -> None:
    asked: dict[str, Any] = {"option": "ask_person", "reason": "promise"}
    frame = rows(row("a", **asked), row("b", **asked), row("c", "2025-03-02", **asked), row("d", "2025-03-02"))
    assert kept(frame, ("refund",)) == ["a", "b"]
    assert kept(frame.iloc[:0], ("refund",)) == []


def test_what_a_surge_sampled_more_often_is_thinned_to_the_nights_share() -> None:
    rng = np.random.default_rng(0)
    small = rng.random(6000) < 0.5
    chance = np.where(small, 0.4, 0.1)
    drawn = np.array([random_draw("w", f"C{i}") for i in range(6000)]) < chance
    frame = rows(
        *(
            row(
                f"C{i}",
                propensity=chance[i],
                **({"option": "ask_person", "reason": "random_share"} if drawn[i] else {}),
            )
            for i in range(6000)
        )
    )
    found = [int(case[1:]) for case in kept(frame, ("refund",))]
    assert small[drawn].mean() > 0.75  # as drawn, the small doubts are far too many
    assert abs(small[found].mean() - 0.5) < 4 * np.sqrt(0.25 / len(found))
    assert len(found) > 500


@pytest.mark.parametrize(("share", "found"), [(0.5, ["a", "b", "c"]), (0.6, ["a", "b"]), (1.0, ["a", "b"])])
def test_young_nights_do_not_count(share: float, found: list[str]) -> None:
    frame = rows(row("a"), row("b"), row("c", "2025-03-02"), row("d", "2025-03-02"), row("e", "2025-03-03"))
    outcomes = pd.DataFrame({"case_id": ["a", "b", "c", "x"], "label": ["kept", "worn", "kept", "kept"]})
    known = with_truth(frame, outcomes, share)
    assert known["case_id"].tolist() == found
    assert known["label"].tolist()[:2] == ["kept", "worn"]
