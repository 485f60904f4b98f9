from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from sqlalchemy import NullPool, create_engine, text

import resources.postgres.embedded
from pipeline_project.domain.core.errors import DatabaseUnreachable
from resources.postgres.embedded import EmbeddedServer

START = "import sys, pathlib, resources.postgres.embedded as e; e.EmbeddedServer(pathlib.Path(sys.argv[1])).start()"


@pytest.fixture
def home() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="pipeline-test-"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def server(home: Path) -> Iterator[EmbeddedServer]:
    embedded = EmbeddedServer(home / "a house, with spaces" / "postgres")
    yield embedded
    embedded.stop()


def ask(url: str, question: str) -> object:
    with create_engine(url, poolclass=NullPool).begin() as connection:
        result = connection.execute(text(question))
        return result.scalar() if result.returns_rows else None


def postmaster(server: EmbeddedServer) -> int:
    return int((server.data / "postmaster.pid").read_text().splitlines()[0])


def start_elsewhere(server: EmbeddedServer) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", START, str(server.folder)], stderr=subprocess.PIPE)


def test_two_starts_at_once_share_one_server_that_outlives_them(server: EmbeddedServer) -> None:
    starters = [start_elsewhere(server), start_elsewhere(server)]
    for starter in starters:
        _, said = starter.communicate(timeout=600)
        assert starter.returncode == 0, said.decode()
    assert server.is_running()
    running = postmaster(server)
    assert ask(server.start(), "SELECT 1") == 1
    assert postmaster(server) == running


def test_after_kill_9_the_next_start_finds_the_data_again(server: EmbeddedServer) -> None:
    url = server.start()
    ask(url, "CREATE TABLE kept AS SELECT 7 AS number")
    os.kill(postmaster(server), signal.SIGKILL)
    assert ask(server.start(), "SELECT number FROM kept") == 7


@pytest.mark.parametrize("name", ["postmaster.pid", ".s.PGSQL.5432.lock"])
def test_a_reused_process_id_in_what_is_left_does_not_prevent_a_start(home: Path, name: str) -> None:
    server = EmbeddedServer(home / "postgres")
    server.start()
    left = (server.data / name).read_text().splitlines()
    server.stop()
    assert not server.is_running()
    # a process of the server's own user lives under the number that the file names
    owner = (server.data / "PG_VERSION").stat()
    identity: dict[str, Any] = {"user": owner.st_uid, "group": owner.st_gid} if os.geteuid() == 0 else {}
    other = subprocess.Popen(["sleep", "60"], **identity)
    try:
        (server.data / name).write_text("\n".join([str(other.pid), *left[1:]]) + "\n")
        os.chown(server.data / name, owner.st_uid, owner.st_gid)
        assert ask(server.start(), "SELECT 1") == 1
    finally:
        other.kill()
        other.wait()
        server.stop()


def test_a_start_killed_while_making_the_data_is_made_again(server: EmbeddedServer) -> None:
    half = server.folder / "data.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    assert ask(server.start(), "SELECT 1") == 1
    assert not half.exists()


def test_nobody_else_may_look_into_the_folder_and_only_the_password_opens_the_server(server: EmbeddedServer) -> None:
    server.start()
    for folder in (server.folder, server.data):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((server.folder / "password").stat().st_mode) == 0o600
    # as root the server's user has to pass through the folders above, which is all that they allow
    assert server.folder.parent.parent.stat().st_mode & 0o066 == 0
    with pytest.raises(psycopg2.OperationalError):
        psycopg2.connect(host=str(server.data), port=5432, user="postgres", password="guessed")


def test_a_path_too_long_for_a_socket_is_served_on_the_loopback_with_the_same_port_again(home: Path) -> None:
    server = EmbeddedServer(home / ("long" * 25) / "postgres")
    try:
        url = server.start()
        assert "@127.0.0.1:" in url
        assert ask(server.superuser_url, "SHOW unix_socket_directories") == ""
        server.stop()
        assert server.start() == url
        with pytest.raises(psycopg2.OperationalError):
            psycopg2.connect(host="127.0.0.1", port=(server.folder / "port").read_text(), user="postgres")
    finally:
        server.stop()


def test_it_writes_nowhere_else(server: EmbeddedServer) -> None:
    places = [Path(tempfile.gettempdir()), Path.home(), Path.cwd()]
    before = {path for place in places for path in place.iterdir()}
    server.start()
    after = {path.name for place in places for path in place.iterdir() if path not in before}
    assert [name for name in after if "PGSQL" in name or name == ".lockfile"] == []
    opened = Path(f"/proc/{postmaster(server)}/fd")
    targets = [str(link.readlink()) for link in opened.iterdir()] if opened.exists() else []
    assert [
        path for path in targets if path.startswith("/") and not path.startswith((str(server.folder), "/dev/"))
    ] == []


def test_neither_statements_nor_rows_reach_the_log(server: EmbeddedServer) -> None:
    url = server.start()
    ask(url, "CREATE TABLE people (name text UNIQUE)")
    ask(url, "INSERT INTO people VALUES ('Erika Mustermann')")
    with pytest.raises(Exception, match="people_name_key"):
        ask(url, "INSERT INTO people VALUES ('Erika Mustermann')")
    log = (server.folder / "log").read_text()
    assert "people_name_key" in log
    assert "Mustermann" not in log


def test_data_of_another_release_are_refused_with_what_to_do(server: EmbeddedServer) -> None:
    server.start()
    server.stop()
    (server.data / "PG_VERSION").write_text("16\n")
    with pytest.raises(DatabaseUnreachable, match="made by PostgreSQL 16 and this is 18; move it away"):
        server.start()


def test_a_server_that_cannot_start_names_the_log(server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources.postgres.embedded, "_CONFIGURATION", ("no_such_setting=1",))
    with pytest.raises(DatabaseUnreachable, match=r"control\.log.*PIPELINE_POSTGRES_URL"):
        server.start()
    assert not server.is_running()


def test_stopping_what_never_ran_does_nothing(home: Path) -> None:
    EmbeddedServer(home / "postgres").stop()
    assert list(home.iterdir()) == []
