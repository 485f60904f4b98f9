"""Where a tenant's things lie, and what its specs can reach: its own and what the operator lists, nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
from starlette.requests import Request
from starlette.responses import Response

from pipeline_project.commands.check import run_check
from pipeline_project.desk.backend import Frame
from pipeline_project.desk.known import browser_of, mark, new_browser
from pipeline_project.domain.core.errors import FilesRefused, SettingInvalid, SourceUnreadable
from pipeline_project.domain.core.nights import Cadence
from pipeline_project.serving.ports import Ports
from pipeline_project.serving.processes import services
from pipeline_project.settings import ROOT, Settings
from pipeline_project.spec.load import load_all
from pipeline_project.tenants import all_terms, most_runs, ports_of, terms_of
from resources.destinations.file_drop import FileDrop
from resources.sources import case_source
from resources.sources.night_files import NightFiles
from resources.sources.places import environment, expand, location, secret
from tests.integration.shop import ACTING_OPTIONS, ACTIONS, spec, write_spec

NAMES = ("acme", "beta")
PLACES = ("home", "lake_url", "models", "reports", "repairs", "checkpoints", "keys", "sample_folder")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in NAMES:
        write_spec(tmp_path / "specs" / name, spec("claims"))
    return tmp_path


def house(root: Path, **more: str) -> Settings:
    return Settings.from_environ({"PIPELINE_HOME": str(root / "home"), "PIPELINE_TENANTS": str(root / "specs"), **more})


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"PIPELINE_FILES_URL": "s3://bucket/house", "PIPELINE_KEYS": "s3://vault/keys"},
        {"PIPELINE_LAKE_URL": "s3://lakes/one", "PIPELINE_KEYS": "/vault", "PIPELINE_CHECKPOINTS": "/elsewhere/signed"},
    ],
)
def test_no_place_of_one_lies_within_a_place_of_another(root: Path, more: dict[str, str]) -> None:
    chosen = house(root, **more)
    own = {name: [f"{getattr(one, place)}/" for place in PLACES] for name, one in everybody(chosen).items()}
    # the house's home, keys and checkpoints hold those of its tenants; what it lists there is its own by name
    shared = {f"{place}/" for place in (chosen.home, chosen.keys, chosen.checkpoints)}
    own[""] = [place for place in own[""] if place not in shared]
    for name, places in own.items():
        others = [place for other, theirs in own.items() if other != name for place in theirs]
        assert not [(a, b) for a in places for b in others if a.startswith(b) or b.startswith(a)]


@pytest.mark.parametrize("place", ["/var/lib/pipeline-checkpoints", "s3://vault", "s3://vault/signed"])
def test_checkpoints_elsewhere_stay_on_the_disk_that_is_named(root: Path, place: str) -> None:
    chosen = house(root, PIPELINE_CHECKPOINTS=place)
    assert [chosen.of_tenant(name).checkpoints for name in NAMES] == [f"{place}/tenants/{name}" for name in NAMES]
    # what is copied or served whole is not below the house's
    apart = house(root, PIPELINE_LAKE_URL="/data/lake", PIPELINE_REPORTS="/data/pages").of_tenant("acme")
    assert (apart.lake_url, apart.reports) == ("/data/lake.tenants/acme", "/data/pages.tenants/acme")


def everybody(chosen: Settings) -> dict[str, Settings]:
    return {"": chosen, **{name: chosen.of_tenant(name) for name in NAMES}}


@pytest.mark.parametrize("tenant", ["", *NAMES])
def test_another_process_has_the_same_settings(root: Path, tenant: str) -> None:
    one = everybody(house(root, PIPELINE_LAKE_URL="s3://lakes/one"))[tenant]
    again = Settings.from_environ(one.to_environ())
    assert {field.name: getattr(again, field.name) for field in fields(one)} == {
        field.name: getattr(one, field.name) for field in fields(one)
    }


def test_without_tenants_everything_is_where_it_was(tmp_path: Path) -> None:
    chosen = Settings.from_environ({"PIPELINE_HOME": str(tmp_path)})
    assert (chosen.tenant, chosen.house, chosen.lake_url) == ("", None, f"{tmp_path}/lake")
    assert chosen.workspaces == (ROOT / "workspace.yaml",)


@pytest.mark.parametrize(
    ("environ", "told"),
    [
        ({"PIPELINE_TENANT": "acme"}, "PIPELINE_TENANTS .not set.; there are none"),
        ({"PIPELINE_TENANT": "gamma", "PIPELINE_TENANTS": "specs"}, "no tenant gamma .* there are acme, beta"),
        ({"PIPELINE_TENANT": "../acme", "PIPELINE_TENANTS": "specs"}, "no name for a tenant"),
        ({"PIPELINE_TENANT": "acme", "PIPELINE_TENANTS": "nowhere"}, "which is no folder"),
        ({"PIPELINE_TENANT": "acme", "PIPELINE_TENANTS": "specs", "PIPELINE_LAKE_URL": "s3://all"}, "name a prefix"),
    ],
)
def test_what_cannot_be_a_tenant_is_told(
    root: Path, environ: dict[str, str], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root)
    with pytest.raises(SettingInvalid, match=told):
        Settings.from_environ({"PIPELINE_HOME": str(root / "home"), **environ})


def test_a_folder_with_a_name_that_no_tenant_may_have_is_told(root: Path) -> None:
    (root / "specs" / "Not_One").mkdir()
    with pytest.raises(SettingInvalid, match="'Not_One' is no name for a tenant"):
        house(root).of_tenant("acme")


def test_specs_do_not_lie_where_tenants_write(tmp_path: Path) -> None:
    (tmp_path / "tenants" / "acme").mkdir(parents=True)
    with pytest.raises(SettingInvalid, match="where the house keeps what tenants write"):
        Settings(tmp_path, tenants=tmp_path / "tenants").of_tenant("acme")


# -- what the operator grants --------------------------------------------------------------------------------------


def test_terms_are_the_operators(root: Path) -> None:
    terms = root / "specs" / "tenants.yaml"
    terms.write_text("acme: {runs: 2, port: 4000, desk_url: 'https://acme.example/'}\nbeta:\n")
    assert most_runs({"PIPELINE_TENANTS": str(root / "specs")}) == {"acme": 2}
    acme, beta = (house(root).of_tenant(name) for name in NAMES)
    assert (acme.desk_url, acme.reports_url) == ("https://acme.example", "http://127.0.0.1:4001")
    assert (beta.desk_url, ports_of(root / "specs", "beta")) == ("http://127.0.0.1:3102", (3102, 3103))
    # in a tenant's own folder they say nothing
    (root / "specs" / "beta" / "tenants.yaml").write_text("beta: {runs: 99}")
    assert terms_of(root / "specs", "beta").runs is None


@pytest.mark.parametrize("content", ["acme: {run: 2}", "acme: {runs: 0}", "acme: [", "- acme", "acme: {port: x}"])
def test_a_mistake_in_them_is_told_and_stops_no_queue(root: Path, content: str) -> None:
    (root / "specs" / "tenants.yaml").write_text(content)
    with pytest.raises(SettingInvalid, match=r"tenants\.yaml"):
        all_terms(root / "specs")
    assert most_runs({"PIPELINE_TENANTS": str(root / "specs")}) == {}


# -- what specs can reach ------------------------------------------------------------------------------------------


def reached(root: Path, text: str, **variables: str) -> str:
    own = house(root).of_tenant("acme")
    (one,) = load_all(own.workflow_folders, "acme").specs.values()
    return location(text, one, environment(own, variables))


@pytest.mark.parametrize("text", ["in", "./in/a/../b", "${PIPELINE_HOME}/out", "${PIPELINE_SAMPLE}/claims"])
def test_its_own_folders_are_a_tenants(root: Path, text: str) -> None:
    where = Path(reached(root, text))
    assert where.is_relative_to(root / "specs" / "acme") or where.is_relative_to(root / "home" / "tenants" / "acme")


@pytest.mark.parametrize(
    "text",
    [
        "../beta/in", "..", "/etc", "~", "${PIPELINE_HOME}/../beta/lake", "${PIPELINE_HOME}/../../lake",
        "{root}/home/tenants/beta/lake", "{root}/home/tenants/acme2", "{root}/specs/acmes", "link", "s3://bucket/acme",
        "s3://granted", "s3://granted/prefix2", "s3://granted/prefix/../other", "${PIPELINE_SOURCE_ACME_ROOT}",
    ],
)  # fmt: skip
def test_what_lies_elsewhere_is_refused_by_where_it_really_is(root: Path, text: str) -> None:
    (root / "specs" / "acme" / "link").symlink_to(root / "specs" / "beta")
    (root / "specs" / "tenants.yaml").write_text("acme: {reads: ['s3://granted/prefix']}")
    with pytest.raises(SourceUnreadable, match=r"outside what tenant acme may read.*`reads` of acme in tenants.yaml"):
        reached(root, text.replace("{root}", str(root)), PIPELINE_SOURCE_ACME_ROOT=str(root / "specs" / "beta"))


def test_what_the_operator_lists_is_reached(root: Path) -> None:
    (root / "specs" / "tenants.yaml").write_text(f"acme: {{reads: ['{root}/srv/', 's3://granted/prefix']}}")
    assert reached(root, f"{root}/srv/in") == f"{root}/srv/in"
    assert reached(root, "s3://granted/prefix/in/") == "s3://granted/prefix/in"
    assert reached(root, "s3://granted/prefix") == "s3://granted/prefix"


def test_the_guard_stands_before_sources_and_destinations(root: Path) -> None:
    declared = spec(
        "claims",
        options=ACTING_OPTIONS,
        actions=ACTIONS | {"destinations": {"drop": {"kind": "files", "folder": "../beta/out"}}},
    )
    declared["source"]["folder"] = "../beta/in"
    write_spec(root / "specs" / "acme", declared)
    own = house(root).of_tenant("acme")
    (one,) = load_all(own.workflow_folders, "acme").specs.values()
    with pytest.raises(SourceUnreadable, match="outside what tenant acme"):
        case_source(one, own, {}).nights_landed()
    assert one.actions is not None
    with pytest.raises(SourceUnreadable, match="outside what tenant acme"):
        FileDrop.of(one.actions.destinations["drop"], one, own, {})  # type: ignore[arg-type]


@pytest.mark.parametrize(("link", "folder"), [("2025-03-04.csv", ""), ("deep", "deep/")])
def test_a_link_out_of_a_sources_folder_is_not_followed(root: Path, link: str, folder: str) -> None:
    theirs = root / "specs" / "beta" / "in"
    theirs.mkdir(exist_ok=True)
    (theirs / "2025-03-04.csv").write_text("id\n1\n")
    drop = root / "specs" / "acme" / "in"
    drop.mkdir(exist_ok=True)
    (drop / link).symlink_to(theirs if folder else theirs / link)
    files = NightFiles.at(str(drop), f"{folder}{{night}}.csv", Cadence.DAY, "acme")
    name = f"{folder}2025-03-04.csv"
    for reads in (files.nights, lambda: files.of("2025-03-04"), lambda: files.files.fetched(name).__enter__()):
        with pytest.raises(FilesRefused, match=r"is a link that leads out of .*put the file itself there"):
            reads()
    assert NightFiles.at(str(drop), files.pattern, Cadence.DAY).of("2025-03-04") == [name], "the house follows its own"
    # within the folder a link is as good as a file
    (drop / link).unlink()
    (drop / "real.csv").write_text("id\n")
    (drop / "2025-03-04.csv").symlink_to(drop / "real.csv")
    assert NightFiles.at(str(drop), "{night}.csv", Cadence.DAY, "acme").of("2025-03-04") == ["2025-03-04.csv"]


def test_a_tenants_sources_do_not_follow_them(root: Path) -> None:
    declared = spec("claims")
    drop = root / "specs" / "acme" / "in"
    drop.mkdir(exist_ok=True)
    declared["source"] |= {"folder": "in", "pattern": "{night}.csv"}
    write_spec(root / "specs" / "acme", declared)
    (root / "secret.csv").write_text("id\n1\n")
    (drop / "2025-03-04.csv").symlink_to(root / "secret.csv")
    own = house(root).of_tenant("acme")
    (one,) = load_all(own.workflow_folders, "acme").specs.values()
    with pytest.raises(FilesRefused, match="leads out of"):
        case_source(one, own, {}).nights_landed()


def test_a_pattern_stays_below_its_folder(root: Path) -> None:
    declared = spec("claims")
    declared["source"]["pattern"] = "../../beta/in/{night}*.csv"
    write_spec(root / "specs" / "acme", declared)
    (broken,) = load_all([root / "specs" / "acme"], "acme").broken
    assert "take out .." in str(broken)


def test_variables_are_the_tenants(root: Path) -> None:
    variables = environment(
        house(root).of_tenant("acme"), {"PIPELINE_SECRET_BETA_X": "theirs", "PIPELINE_SECRET_ACME_X": "ours"}
    )
    assert secret("PIPELINE_SECRET_ACME_X", variables) == "ours"
    with pytest.raises(SourceUnreadable, match="tenant acme may not name"):
        secret("PIPELINE_SECRET_BETA_X", variables)
    with pytest.raises(SourceUnreadable, match="tenant acme may not name"):
        expand("${PIPELINE_SOURCE_ERP}", variables)


def test_the_house_reads_what_it_always_read(root: Path) -> None:
    write_spec(root / "own", spec("claims"))
    chosen = house(root, PIPELINE_WORKFLOWS=str(root / "own"))
    one = load_all(chosen.workflow_folders).specs["claims"]
    assert location("/etc", one, environment(chosen, {})) == "/etc"


def test_desks_on_one_host_have_cookies_of_their_own() -> None:
    frames = [Frame(url, "x", tenant=name) for url in ("http://h", "https://h") for name in ("", *NAMES)]
    assert [frame.cookie for frame in frames[:3]] == ["desk", "desk-acme", "desk-beta"]
    assert len({frame.cookie for frame in frames}) == len(frames)


def test_no_cookie_of_one_desk_is_anothers() -> None:
    """Of the sign-in by a provider and of browsers that are known, too."""
    browsers = {name: new_browser(f"ada of {name}") for name in NAMES}
    jar: dict[str, str] = {}
    for name in NAMES:
        frame, answer = Frame("http://h", "x", tenant=name), Response()
        mark(answer, frame, browsers[name])
        jar |= {
            cookie.partition("=")[0]: cookie.partition("=")[2].partition(";")[0]
            for cookie in answer.headers.getlist("set-cookie")
        }
    sent = Request(
        {
            "type": "http",
            "path": "/sign-in",
            "headers": [(b"cookie", "; ".join(f"{k}={v}" for k, v in jar.items()).encode())],
        }
    )
    assert {name: browser_of(sent, Frame("http://h", "x", tenant=name)) for name in NAMES} == browsers
    assert browser_of(sent, Frame("http://h", "x")) is None
    assert [Frame("http://h", "x", tenant=name).own_cookie("desk_sign_in") for name in ("", "acme")] == [
        "desk_sign_in", "desk_sign_in-acme",
    ]  # fmt: skip


def test_what_ends_a_tenants_service_does_not_end_the_house(root: Path) -> None:
    tenants = [service for service in services(house(root), Ports()) if service.variables]
    assert len(tenants) == 3 * len(NAMES) and all(service.replaceable for service in tenants)


# -- a process is one tenant's -------------------------------------------------------------------------------------

_LOADED = """
import os
from pipeline_project import tenant_definitions
acme = tenant_definitions.acme()
assert os.environ["PIPELINE_TENANT"] == "acme"
print(sorted(key.to_user_string() for key in acme.resolve_asset_graph().get_all_asset_keys())[0])
print(sorted({tag for job in acme.jobs for tag in job.tags.items() if tag[0] == "pipeline/tenant"}))
try:
    tenant_definitions.beta()
except Exception as error:
    print(type(error).__name__, error)
print(hasattr(tenant_definitions, "Not_One"), hasattr(tenant_definitions, "__path__"))
"""


def test_a_code_location_loads_one_tenants_workflows_and_becomes_nobody_elses(root: Path) -> None:
    (root / "specs" / "beta" / "broken.yaml").write_text("workflow: [")
    given = {"PIPELINE_HOME": str(root / "home"), "PIPELINE_TENANTS": str(root / "specs")}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PIPELINE_")}
    done = subprocess.run(
        [sys.executable, "-c", _LOADED], env={**kept, **given}, cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == [
        "ACME__claims/arrivals",
        "[('pipeline/tenant', 'acme')]",
        "SettingInvalid this process works for tenant acme and was asked for beta; each needs its own",
        "False False",
    ]


@pytest.mark.parametrize("encoder", ["{root}/specs/beta/model", "../beta/model", "link"])
def test_an_encoder_outside_a_tenants_folder_is_not_loaded(
    root: Path, encoder: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = root / "specs" / "acme"
    (root / "specs" / "beta" / "model").mkdir()
    (folder / "link").symlink_to(root / "specs" / "beta" / "model")
    declared = spec("claims", text=True)
    declared["text"] = {"encoder": encoder.format(root=root)}
    written = write_spec(folder, declared)
    loaded = load_all((folder,), "acme")
    assert not loaded.specs
    (broken,) = loaded.broken
    assert broken.mistakes[0].where == "text.encoder"
    assert "put the encoder's folder below it" in broken.mistakes[0].sentence
    # the same is said of the file alone
    for name, value in house(root).to_environ().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PIPELINE_TENANT", "acme")
    assert run_check([written], as_json=False) == 3
    assert "put the encoder's folder below it" in capsys.readouterr().err
    # the house may name any folder, and a tenant its own
    assert "claims" in load_all((folder,)).specs
    (folder / "model").mkdir()
    written.write_text(written.read_text("utf-8").replace(declared["text"]["encoder"], "model"), encoding="utf-8")
    assert "claims" in load_all((folder,), "acme").specs
