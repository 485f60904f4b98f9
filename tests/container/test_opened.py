"""Resources are opened when a step first asks for them, by the settings alone."""

from __future__ import annotations

import pickle
from pathlib import Path

import dagster as dg
import pytest

from pipeline_project.container.compute import ComputedEncoders, OpenedCompute
from pipeline_project.container.dagster_resources import build_resources
from pipeline_project.container.night import (
    OpenedContracts,
    OpenedEncoders,
    OpenedSources,
    open_io_manager,
    open_reports,
)
from pipeline_project.domain.core.compute import ComputeEngine, ComputeTerms
from pipeline_project.domain.core.run_tags import KILLED
from pipeline_project.domain.vectors.modalities import MODALITIES, ImageTerms, PhotoModality, TextModality
from pipeline_project.ports.contracts import Contracts
from pipeline_project.ports.encoders import Encoders
from pipeline_project.ports.sources import Sources
from pipeline_project.settings import Settings
from pipeline_project.spec.load import load_all
from resources.compute.encoders import RayFileEncoder, RayTextEncoder
from resources.encoders import MiniLmTextEncoder
from tests.doubles import FIELDS, claims


def test_every_name_that_an_asset_asks_for_is_there(tmp_path: Path) -> None:
    given = build_resources(Settings(home=tmp_path / "home"))
    names = {
        "sources",
        "lake",
        "vectors",
        "ledger",
        "registry",
        "encoders",
        "compute",
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
        "meter",
    }
    assert set(given) == names
    assert all(resource.get_resource_definition().description for resource in given.values())
    assert not (tmp_path / "home").exists()


def test_what_resources_stand_on_is_neither_shown_nor_for_a_run_to_change(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, postgres_url="postgresql://me:secret@db/x")
    for name, resource in build_resources(settings).items():
        definition = resource.get_resource_definition()
        config = definition.config_schema.as_field()
        assert isinstance(config.config_type, dg.Shape)
        assert config.config_type.fields == {}, f"whoever launches a run could set {name} to something else"
        assert "secret" not in f"{definition.description} {config.default_value_as_json_str}"


def test_only_what_a_step_asks_for_is_opened(tmp_path: Path) -> None:
    # no server is there: whatever looked for its database would fail
    settings = Settings(home=tmp_path / "home", postgres_url="postgresql://nobody@localhost:1/none")

    @dg.asset
    def untouched() -> dg.MaterializeResult:
        return dg.MaterializeResult()

    @dg.asset
    def asks(contracts: dg.ResourceParam[Contracts], sources: dg.ResourceParam[Sources]) -> dg.MaterializeResult:
        assert isinstance(contracts, OpenedContracts)
        assert isinstance(sources, OpenedSources)
        assert sources.settings is settings
        return dg.MaterializeResult()

    resources = {name: each for name, each in build_resources(settings).items() if name != "io_manager"}
    assert dg.materialize([untouched, asks], resources=resources).success
    assert not (tmp_path / "home").exists()


def test_encoders_that_a_workflow_does_not_declare_are_refused() -> None:
    spec = load_all().specs["order_returns"]
    for modality in MODALITIES.values():
        with pytest.raises(ValueError, match=f"order_returns declares no `{modality.name}`"):
            OpenedEncoders("cpu").version(spec, modality)


def test_sources_are_those_of_the_spec_and_the_settings(tmp_path: Path, postgres_server: str) -> None:
    ports = OpenedSources(Settings(home=tmp_path, sample_folder=tmp_path / "sample", postgres_url=postgres_server))
    (tmp_path / "sample/returns/claims/2025-03-01").mkdir(parents=True)
    (tmp_path / "sample/returns/claims/2025-03-01/a.csv").write_text("claim_id\n1\n", encoding="utf-8")
    assert ports.cases(load_all().specs["returns"]).nights_landed() == ["2025-03-01"]


def test_lake_and_pages_lie_below_the_home(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    assert str(tmp_path) in open_io_manager(settings).lake.uri("claims", "cases")
    assert open_reports(settings) is not open_reports(settings), "a page is written by whoever asks, nothing is shared"


def test_a_spec_says_where_its_work_is_done_and_otherwise_the_settings(tmp_path: Path) -> None:
    fields = {**FIELDS, "text": {"type": "text"}}
    usual = claims(fields=fields)
    there = claims(fields=fields, compute={"engine": "ray", "actors": 3, "batch": 16})
    here = claims(fields=fields, compute={"engine": "process"})
    assert usual.spec_hash == there.spec_hash == here.spec_hash, "where it is done decides nothing"
    settings = Settings(tmp_path, compute=ComputeTerms(ComputeEngine.RAY, "head:6379"))
    at_home = Settings(tmp_path)
    asked = [(usual, at_home), (usual, settings), (there, at_home), (there, settings), (here, settings)]
    assert [OpenedCompute(s).on_cluster(spec) for spec, s in asked] == [False, True, True, True, False]
    assert [OpenedCompute(s).workers(spec).at_once for spec, s in asked] == [1, 8, 3, 3, 1]
    encoders = [ComputedEncoders(s).inline(spec, TextModality()) for spec, s in asked]
    assert [isinstance(encoder, RayTextEncoder) for encoder in encoders] == [False, True, True, True, False]
    (ours,) = {encoder.version for encoder in encoders}
    on_ray = [encoder for encoder in encoders if isinstance(encoder, RayTextEncoder)]
    assert [encoder.driver.address for encoder in on_ray] == ["head:6379", "auto", "head:6379"]
    assert [(encoder.encoding.actors, encoder.encoding.most) for encoder in on_ray] == [(None, None), *[(3, 16)] * 2]
    assert {encoder.encoding.make().version for encoder in on_ray} == {ours}


@pytest.mark.parametrize(("killed", "tokens"), [(0, 1024), (1, 512), (2, 256), (20, 1)])
def test_a_run_that_goes_on_with_a_killed_one_computes_smaller_batches(
    tmp_path: Path, killed: int, tokens: int
) -> None:
    spec = claims(fields={**FIELDS, "text": {"type": "text"}})
    usual = ComputedEncoders(Settings(tmp_path))

    @dg.asset
    def asks(encoders: dg.ResourceParam[Encoders]) -> None:
        encoder = encoders.inline(spec, TextModality())
        assert isinstance(encoder, MiniLmTextEncoder)
        assert encoder.tokens_per_batch == tokens
        assert encoder.version == usual.version(spec, TextModality()), "what is stored stays what it is"

    given = {"encoders": build_resources(Settings(tmp_path))["encoders"]}
    assert dg.materialize([asks], resources=given, tags={KILLED: str(killed)} if killed else None).success
    assert ImageTerms(batch=32).halved(killed).batch == max(1, 32 >> killed)


def test_workers_are_given_no_password_and_find_photos_and_vectors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIPELINE_SECRET_SHOP", "hunter2")
    monkeypatch.setenv("PIPELINE_SOURCE_CLAIMS", str(tmp_path))
    source = {"kind": "files", "folder": "${PIPELINE_SOURCE_CLAIMS}/in", "pattern": "{night}/*.csv"}
    fields = {**FIELDS, "photo": {"type": "image", "required": False}}
    compute = {"engine": "ray"}
    spec = claims(fields=fields, source=source, compute=compute).placed_in(tmp_path)
    settings = Settings(tmp_path / "home", postgres_url="postgresql://me:secret@db/x")
    encoder = ComputedEncoders(settings).files(spec, PhotoModality())
    assert isinstance(encoder, RayFileEncoder)
    sent = pickle.dumps((encoder.encoding, encoder.source, encoder.store))
    assert b"secret" not in sent and b"hunter2" not in sent
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jpg").write_bytes(b"a")
    _, make_source, make_store = pickle.loads(sent)
    assert make_source().read("a.jpg") == b"a"
    assert make_store().get("v", ["k"]) == {}
