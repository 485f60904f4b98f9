"""Resources are opened when a step first asks for them, by the settings alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline_project.container.night import EncoderDoors, SourceDoors, build_resources, open_io_manager, open_reports
from pipeline_project.settings import Settings
from pipeline_project.spec.load import load_all


def test_every_name_that_an_asset_asks_for_is_there(tmp_path: Path) -> None:
    given = build_resources(Settings(home=tmp_path / "home"))
    names = {
        "sources",
        "lake",
        "vectors",
        "ledger",
        "registry",
        "encoders",
        "contracts",
        "reports",
        "io_manager",
        "keyring",
        "reviews",
        "audit",
        "promotions",
        "live",
        "quality",
        "replays",
        "checker",
    }
    assert set(given) == names
    assert all(resource.description for resource in given.values())
    assert not (tmp_path / "home").exists()


def test_a_password_stands_in_no_description(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, postgres_url="postgresql://me:secret@db/x")
    assert not any("secret" in (resource.description or "") for resource in build_resources(settings).values())


def test_encoders_that_a_workflow_does_not_declare_are_refused() -> None:
    spec = load_all().specs["order_returns"]
    for open_one in (EncoderDoors("cpu").text, EncoderDoors("cpu").image):
        with pytest.raises(ValueError, match="order_returns declares no"):
            open_one(spec)


def test_sources_are_those_of_the_spec_and_the_settings(tmp_path: Path, postgres_server: str) -> None:
    doors = SourceDoors(Settings(home=tmp_path, sample_folder=tmp_path / "sample", postgres_url=postgres_server))
    (tmp_path / "sample/returns/claims/2025-03-01").mkdir(parents=True)
    (tmp_path / "sample/returns/claims/2025-03-01/a.csv").write_text("claim_id\n1\n", encoding="utf-8")
    assert doors.cases(load_all().specs["returns"]).nights_landed() == ["2025-03-01"]


def test_lake_and_pages_lie_below_the_home(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    assert str(tmp_path) in open_io_manager(settings).lake.uri("claims", "cases")
    assert open_reports(settings) is not open_reports(settings), "a page is written by whoever asks, nothing is shared"
