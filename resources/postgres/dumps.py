"""Databases carried elsewhere by PostgreSQL's own `pg_dump` and `pg_restore`; passwords go by a file, never by argv."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, make_url, text

from pipeline_project.domain.core.errors import DatabaseUnreachable
from resources.files.small_files import write_whole
from resources.postgres.databases import begun, connected, engine_of, safe
from resources.postgres.embedded import binaries

_VERSION = re.compile(r"\(PostgreSQL\) (\d+)")
_SERVICE = "pipeline"
_RELATIONS = (
    "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace "
    "WHERE nspname = 'public' AND relkind IN ('r', 'p', 'v', 'm', 'S', 'f')"
)


@dataclass(frozen=True)
class Snapshot:
    """One moment of a database: what its connection reads and what `dump` writes is the same.

    Attributes:
        name: by which other connections see the moment, as long as this one lives.
    """

    url: str
    connection: Connection
    name: str


@contextmanager
def snapshot(url: str) -> Iterator[Snapshot]:
    """Holds one moment of a database until the end of the block.

    Raises:
        DatabaseUnreachable: it cannot be had.
    """
    with connected(engine_of(url)) as connection:
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
        name = str(connection.scalar(text("SELECT pg_export_snapshot()")))
        yield Snapshot(url, connection, name)
        connection.rollback()


def dump(of: Snapshot, file: Path) -> None:
    """Writes a database as it was at the moment, in the custom format of `pg_dump`.

    Raises:
        DatabaseUnreachable: it cannot be read to the end, or no `pg_dump` fits the server.
    """
    options = ["--format=custom", "--no-owner", "--no-privileges", f"--snapshot={of.name}", f"--file={file}"]
    _run("pg_dump", of.url, options)


def restore(url: str, file: Path) -> None:
    """Puts a dump into an empty database, all of it or, whatever happens on the way, nothing.

    Raises:
        DatabaseUnreachable: it cannot be written, or the file is no whole dump.
    """
    options = ["--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges", str(file)]
    _run("pg_restore", url, options)


def is_empty(url: str) -> bool:
    """Whether a database holds no table of anybody's."""
    with begun(engine_of(url)) as connection:
        return not connection.scalar(text(_RELATIONS))


def make_empty(url: str) -> None:
    """Takes everything out of a database."""
    with begun(engine_of(url)) as connection:
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))


def server_version(connection: Connection) -> int:
    """The server's major version."""
    return int(connection.scalar(text("SHOW server_version_num")) or 0) // 10_000


def _run(program: str, url: str, options: Sequence[str]) -> None:
    with begun(engine_of(url)) as connection:
        wanted = server_version(connection)
    with tempfile.TemporaryDirectory(prefix="pipeline-pg-") as folder:
        service = Path(folder) / "service.conf"
        write_whole(service, _service(url), 0o600)
        environ = {**os.environ, "PGSERVICEFILE": str(service), "LC_ALL": "C"}
        command = [str(_program(program, wanted)), *options[:-1], f"--dbname=service={_SERVICE}", options[-1]]
        done = subprocess.run(command, env=environ, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if done.returncode:
        # a line of the data may stand behind the first
        lines = [line.strip() for line in done.stderr.decode(errors="replace").splitlines() if "error:" in line]
        raise DatabaseUnreachable(
            f"{program} ended with {done.returncode} on {safe(url)}: {(lines or ['it gave no reason'])[0][:300]}; "
            "mend that and give the same command again"
        )


def _service(url: str) -> str:
    """What libpq is told of a database, in a file of its own kind."""
    parsed = make_url(url)
    given = {
        "host": parsed.host, "port": parsed.port, "dbname": parsed.database, "user": parsed.username,
        "password": parsed.password,
    }  # fmt: skip
    more = {name: value if isinstance(value, str) else ",".join(value) for name, value in parsed.query.items()}
    lines = [f"{name}={value}" for name, value in {**given, **more}.items() if value not in (None, "")]
    return "\n".join([f"[{_SERVICE}]", *lines, ""])


def _program(name: str, wanted: int) -> Path:
    """The program that comes with the embedded server where it is new enough for a server, else the one in PATH."""
    candidates = [binaries() / name]
    if installed := shutil.which(name):
        candidates.append(Path(installed))
    for candidate in candidates:
        answer = subprocess.run([candidate, "--version"], capture_output=True, text=True, check=False).stdout
        version = _VERSION.search(answer)
        if version is not None and int(version[1]) >= wanted:
            return candidate
    raise DatabaseUnreachable(
        f"the server is PostgreSQL {wanted} and no {name} here is as new; install its client programs so that {name} "
        "is in PATH"
    )
