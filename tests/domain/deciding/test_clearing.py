from __future__ import annotations

import pytest

from pipeline_project.domain.core.errors import NightBlocked
from pipeline_project.domain.deciding.clearance import (
    ALWAYS,
    CODE,
    NIGHT_IS_SOUND,
    SPEC,
    Basis,
    CheckVerdict,
    clear,
    way_out,
)

NIGHT = "2025-03-05"
TABLES = {SPEC: "s", "arrivals": "a", "cases": "c", "quarantine": "q", "scores": "p"}
BASIS = Basis(TABLES, ALWAYS["decisions"])


def verdicts(**changes: CheckVerdict) -> list[CheckVerdict]:
    """Every check has passed on the basis, but for some."""
    judged = {name: TABLES[name] for name in (SPEC, "arrivals", "cases", "quarantine")}
    given = {check: CheckVerdict(check, True, "it holds", judged) for check in ALWAYS["decisions"]}
    return [*{**given, **changes}.values()]


def refusal(given: list[CheckVerdict], basis: Basis = BASIS) -> str:
    with pytest.raises(NightBlocked) as caught:
        clear("claims", NIGHT, "decisions", given, basis)
    return str(caught.value)


def failed(words: str = "13 of 25 rows refused", **tables: str) -> CheckVerdict:
    return CheckVerdict(NIGHT_IS_SOUND, False, words, {**verdicts()[0].judged, **tables})


def test_a_night_whose_checks_have_passed_is_let_through() -> None:
    clear("claims", NIGHT, "decisions", verdicts(), BASIS)


@pytest.mark.parametrize("check", ALWAYS["decisions"])
def test_without_any_one_of_the_verdicts_it_is_not(check: str) -> None:
    told = refusal([verdict for verdict in verdicts() if verdict.check != check])
    assert check in told
    assert told.endswith(f"Next: pipeline nights claims --from {NIGHT} --to {NIGHT}")


@pytest.mark.parametrize("changed", [*TABLES])
def test_a_verdict_over_an_older_table_or_another_spec_counts_for_nothing(changed: str) -> None:
    judged = {**TABLES, changed: "older"}
    told = refusal([CheckVerdict(check, True, "it holds", judged) for check in ALWAYS["decisions"]])
    assert all(check in told for check in ALWAYS["decisions"])


def test_a_failed_verdict_gives_its_reason_and_the_command_that_helps() -> None:
    told = refusal([*verdicts(), failed()])
    assert "night_is_sound: 13 of 25 rows refused" in told
    assert told.endswith(f"Next: pipeline quarantine claims --night {NIGHT}")


def test_the_newest_verdict_over_the_same_tables_holds() -> None:
    clear("claims", NIGHT, "decisions", [failed(), *verdicts()], BASIS)


def test_a_failed_verdict_over_an_older_table_stops_nothing() -> None:
    clear("claims", NIGHT, "decisions", [*verdicts(), failed(cases="older")], BASIS)


def test_a_check_that_nobody_asked_for_stops_the_night_as_well() -> None:
    more = CheckVerdict("embeddings_contract", False, "2 vectors are no vectors", {SPEC: "s", "cases": "c"})
    assert "embeddings_contract" in refusal([*verdicts(), more])


@pytest.mark.parametrize("check", ["scores_contract", "embeddings_contract", NIGHT_IS_SOUND])
def test_running_again_is_not_advised_where_it_cannot_help(check: str) -> None:
    assert not way_out(check, "claims", NIGHT).startswith("pipeline nights")


def test_a_night_that_another_version_of_the_code_began_says_so() -> None:
    basis = Basis({**TABLES, CODE: "new"}, ALWAYS["decisions"])
    judged = {name: TABLES[name] for name in (SPEC, "cases")}

    def looked(**more: str) -> list[CheckVerdict]:
        return [CheckVerdict(check, True, "it holds", {**judged, **more}) for check in ALWAYS["decisions"]]

    told = refusal(looked(code="old"), basis)
    assert "version old of the code began it, and this process runs new" in told
    assert told.endswith(f"Next: pipeline nights claims --from {NIGHT} --to {NIGHT}")
    # another version that looked at older tables is not what is in the way
    assert "began it" not in refusal(looked(code="old", cases="older"), basis)
    clear("claims", NIGHT, "decisions", looked(code="new"), basis)
    # verdicts of before versions were kept count as before
    clear("claims", NIGHT, "decisions", looked(), basis)
