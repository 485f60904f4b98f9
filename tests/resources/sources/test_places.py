"""A source has one name, whoever reads it and however its path is spelled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline_project.domain.core.errors import SourceUnreadable
from pipeline_project.settings import Settings
from resources.sources import case_source
from resources.sources.places import expand
from tests.resources.sources.claim_specs import claims


def places(own: Path, variables: dict[str, str] | None = None, **source: Any) -> tuple[str, ...]:
    return case_source(claims(own, source=source), Settings(home=own / "home"), variables or {}).places()


def files(folder: Path, where: str, pattern: str = "{night}/*.csv", **variables: str) -> tuple[str, ...]:
    return places(folder, variables, kind="files", folder=where, pattern=pattern)


def test_spellings_links_and_variables_are_one_place(tmp_path: Path) -> None:
    (tmp_path / "data" / "drop").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "data")
    (tmp_path / "own").mkdir()
    (one,) = files(tmp_path, "data/drop")
    assert one == f"{tmp_path.resolve()}/data/drop/{{night}}/*.csv"
    assert files(tmp_path, "data/../data/./drop") == (one,)
    assert files(tmp_path, "link/drop") == (one,)
    assert files(tmp_path / "own", "../link/drop") == (one,)
    assert files(tmp_path, "${PIPELINE_SOURCE_WHERE}/drop", PIPELINE_SOURCE_WHERE=str(tmp_path / "data")) == (one,)
    assert files(tmp_path, "data", "drop/{night}/*.csv") == (one,)
    assert files(tmp_path, str(tmp_path / "data/drop")) == (one,)
    assert files(tmp_path, "data", "{night}/*.csv") != (one,)
    assert files(tmp_path, "data/drop", "{night}/a.csv") != (one,)


def test_a_table_is_its_files(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x\n")
    (tmp_path / "b.csv").symlink_to(tmp_path / "a.csv")
    named = [{"path": name} for name in ("a.csv", "./b.csv")]
    assert set(places(tmp_path, kind="table", files=named)) == {str((tmp_path / "a.csv").resolve())}


@pytest.mark.parametrize(
    ("url", "query", "same"),
    [
        ("postgresql://ann:secret@db/claims", "select *  from CLAIMS\nwhere at >= :start and at < :end", True),
        ("postgresql+psycopg2://b:o@db/claims", "SELECT * FROM claims WHERE at >= :start AND at < :end", True),
        ("postgresql://ann@db/other", "SELECT * FROM claims WHERE at >= :start AND at < :end", False),
        ("postgresql://ann@db/claims", "SELECT * FROM claims_2 WHERE at >= :start AND at < :end", False),
    ],
)  # fmt: skip
def test_a_query_is_told_by_a_hash_of_what_it_asks_where(tmp_path: Path, url: str, query: str, same: bool) -> None:
    asked = {
        "kind": "sql",
        "url_variable": "PIPELINE_SOURCE_U",
        "query": "SELECT * FROM claims WHERE at >= :start AND at < :end",
    }
    (known,) = places(tmp_path, {"PIPELINE_SOURCE_U": "postgresql://ann@db/claims"}, **asked)
    (other,) = places(tmp_path, {"PIPELINE_SOURCE_U": url}, **{**asked, "query": query})
    assert (other == known) is same
    assert "secret" not in other


@pytest.mark.parametrize(
    "name", ["PIPELINE_POSTGRES_URL", "AWS_SECRET_ACCESS_KEY", "PIPELINE_OIDC_CLIENT_SECRET", "HOME", "pipeline_home"]
)
def test_a_spec_names_no_variable_that_could_be_a_secret(name: str) -> None:
    for text in (f"${{{name}}}", f"${{{name}:-x}}", f"${{PIPELINE_SOURCE_NONE:-${{{name}}}}}/a"):
        with pytest.raises(SourceUnreadable, match=f"may not name the environment variable {name}") as refused:
            expand(text, {name: "canary-of-a-secret"})
        assert "canary" not in str(refused.value)
    assert expand(f"${{{name}}}", {name: "named", "PIPELINE_SPEC_VARIABLES": f"OTHER, {name}"}) == "named"
    with pytest.raises(SourceUnreadable, match="holds an address with a password") as held:
        expand("${PIPELINE_SOURCE_A}/b", {"PIPELINE_SOURCE_A": "postgresql://ann:canary@db/claims"})
    assert "canary" not in str(held.value)
    assert expand("${PIPELINE_SOURCE_A}/b", {"PIPELINE_SOURCE_A": "a"}) == "a/b"


@pytest.mark.parametrize("name", ["PIPELINE_POSTGRES_URL", "CLAIMS_URL", "PIPELINE_HOOK_SECRET_RETURNS"])
def test_a_query_s_database_is_one_that_a_spec_may_name(name: str, tmp_path: Path) -> None:
    asked = {"kind": "sql", "url_variable": name, "query": "SELECT * FROM claims WHERE at >= :start AND at < :end"}
    environ = {name: "postgresql://ann:canary@db/claims"}
    with pytest.raises(SourceUnreadable, match=f"{name}; rename it to PIPELINE_SECRET_") as refused:
        places(tmp_path, environ, **asked)
    assert "canary" not in str(refused.value)
    # what the operator lists is read from the settings, and from there alone
    with pytest.raises(SourceUnreadable):
        places(tmp_path, {**environ, "PIPELINE_SPEC_VARIABLES": name}, **asked)
    settings = Settings(home=tmp_path / "home", spec_variables=(name,))
    assert case_source(claims(tmp_path, source=asked), settings, environ).places()
