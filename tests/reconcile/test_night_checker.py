"""The checker's door for one night: a ledger that cannot be read is told as such, a mistake of its own stays one."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError, ProgrammingError

from pipeline_project.domain.core.errors import DatabaseUnreachable
from pipeline_project.operations import reconciliation as reconciling
from pipeline_project.operations.reconciliation import LinesNightChecker
from pipeline_project.reconcile import run
from pipeline_project.reconcile.scope import Where
from pipeline_project.settings import Settings
from tests.doubles import NIGHT, claims


@pytest.fixture
def checker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LinesNightChecker:
    places = Where("postgresql://nowhere", str(tmp_path), str(tmp_path), tmp_path, str(tmp_path))
    monkeypatch.setattr(reconciling, "where", lambda _: places)
    return LinesNightChecker(Settings(home=tmp_path))


@pytest.mark.parametrize("kind", [OperationalError, ProgrammingError])
def test_a_ledger_that_breaks_off_is_told_with_what_to_do(
    checker: LinesNightChecker, monkeypatch: pytest.MonkeyPatch, kind: type[OperationalError]
) -> None:
    def breaks_off(*_: object) -> None:
        raise kind("SELECT secret", {}, ConnectionError("gone"))

    monkeypatch.setattr(run, "one_night", breaks_off)
    with pytest.raises(DatabaseUnreachable, match="pipeline doctor") as told:
        checker.night(claims(), NIGHT)
    assert "secret" not in str(told.value)


def test_a_mistake_of_its_own_is_not_hidden(checker: LinesNightChecker, monkeypatch: pytest.MonkeyPatch) -> None:
    def mistaken(*_: object) -> None:
        raise KeyError("option")

    monkeypatch.setattr(run, "one_night", mistaken)
    with pytest.raises(KeyError):
        checker.night(claims(), NIGHT)
