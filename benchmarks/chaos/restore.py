"""One store of three is restored from a backup of an earlier night, the others stay as they are; then nights go on.

The lake, the ledger, the registry with its files: each is put back to what it was after an earlier night. What no
longer agrees must be said - by the checker that counts everything again, or by a night that stops - and when the nights
have run again nothing has happened twice outside and no decision that anybody saw is gone. `--without keys` makes a
key for each delivery.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from random import Random
from unittest import mock
from uuid import uuid4

from sqlalchemy import NullPool, create_engine, make_url, text

from benchmarks.chaos.tally import Came, Given, Tally, run
from benchmarks.home import bench_home
from pipeline_project.container.outbox import usable_destinations
from pipeline_project.domain.delivery.claimed_action import ClaimedAction
from pipeline_project.operations.dispatch import Dispatcher
from pipeline_project.operations.reconciliation import declared, where
from pipeline_project.reconcile.run import reconcile
from pipeline_project.reconcile.scope import Span
from resources.destinations.file_drop import FileDrop
from resources.postgres.databases import LEDGER, MLFLOW, engine_of
from resources.postgres.embedded import EmbeddedServer
from tests.integration import shop
from tests.integration.house import House

WARM_UP = 3
STORES = ("the lake", "the ledger", "the registry")


def suite(given: Given) -> Tally:
    tally = Tally()
    nights = WARM_UP + max(2, min(5, given.times))
    with bench_home() as home, tempfile.TemporaryDirectory(prefix="chaos-restore-") as folder, _without(given.without):
        server = EmbeddedServer(home / "postgres")
        server.start()
        # a copied database has sessions of the server's own, which its daily user may not end
        url = server.superuser_url
        try:
            house = _house(Path(folder), url, nights)
            draw, drawn = Random(given.seed), 0
            kept = {night: _backed_up(house, url, night) for night in _decided(house, nights)}
            chosen = STORES[1:2] if given.without else STORES
            while drawn < given.times:
                for store in chosen:
                    night = draw.choice(list(kept)[:-1])
                    tally.note(
                        f"{store} of an earlier night", *_restored(house, url, store, kept, night, list(kept)[-1])
                    )
                drawn += 1
        finally:
            server.stop()
    return tally


def _house(folder: Path, url: str, nights: int) -> House:
    home = folder / "restored"
    home.mkdir()
    house = House("chaos_restore", home, url)
    house.declare(options=shop.ACTING_OPTIONS, actions=shop.ACTIONS)
    shop.drop_nights(house.folder, [shop.night(offset) for offset in range(nights)], count=16)
    return house


def _decided(house: House, nights: int) -> Iterator[str]:
    """Runs the nights one by one, with everything delivered; gives each decided one once it is done."""
    for offset in range(nights):
        night = shop.night(offset)
        ran = house.nights(night)
        if [run.outcome for run in ran] != ["done"]:
            raise RuntimeError(f"{night} ends with {[run.outcome for run in ran]} undisturbed")
        _deliver(house)
        if offset >= WARM_UP:
            yield night


def _deliver(house: House) -> None:
    with house.entered():
        known, _ = usable_destinations({house.name: house.spec}, house.settings, {})
        Dispatcher(engine_of(house.ledger.url), known, {house.name: "team:chaos"}, "restore").drain()


def _backed_up(house: House, url: str, night: str) -> Path:
    """A backup of all three stores."""
    backup = house.home.parent / f"backup-{night}"
    for part in ("lake", "models"):
        if (house.home / part).exists():
            shutil.copytree(house.home / part, backup / part)
    for name in (LEDGER, MLFLOW):
        _copied(url, name, _name(name, night))
    return backup


def _name(database: str, night: str) -> str:
    return f"{database}_{night.replace('-', '')}"


def _copied(url: str, source: str, target: str) -> None:
    engine = create_engine(make_url(url).set(database="postgres"), poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"DROP DATABASE IF EXISTS {target} WITH (FORCE)"))
        ended = (
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name AND pid <> pg_backend_pid()"
        )
        connection.execute(text(ended), {"name": source})
        connection.execute(text(f"CREATE DATABASE {target} TEMPLATE {source}"))


def _put_back(house: House, url: str, store: str, backup: Path, night: str) -> None:
    if store == "the ledger":
        _copied(url, _name(LEDGER, night), LEDGER)
        return
    if store == "the registry":
        _copied(url, _name(MLFLOW, night), MLFLOW)
    part = "lake" if store == "the lake" else "models"
    shutil.rmtree(house.home / part, ignore_errors=True)
    if (backup / part).exists():
        shutil.copytree(backup / part, house.home / part)


def _restored(house: House, url: str, store: str, kept: dict[str, Path], night: str, last: str) -> tuple[Came, str]:
    for each in STORES:
        # as after the last night, all three of them
        _put_back(house, url, each, kept[last], last)
    shutil.rmtree(house.folder / "out", ignore_errors=True)
    _deliver_all(house)
    before = _standing(house)
    _put_back(house, url, store, kept[night], night)
    told = _told(house)
    again = house.nights(shop.FIRST, last)
    told = told or any(run.outcome not in ("done", "passed_over") for run in again)
    if store != "the registry" and not told:
        return Came.SILENT, f"back to {night}, and nobody says so"
    house.nights(shop.DECIDE_FROM, last, again=True)
    _deliver(house)
    counted = Counter(_cases(house))
    if any(times > 1 for times in counted.values()):
        return Came.DOUBLED, f"back to {night}: {sum(times > 1 for times in counted.values())} effects happened again"
    after = _standing(house)
    if lost := before.keys() - after.keys():
        return Came.LOST, f"back to {night}: {len(lost)} decisions are gone"
    return Came.WELL, ""


def _deliver_all(house: House) -> None:
    """What the last backup says is done lies in the folder again."""
    with house.entered():
        for row in house.sql("SELECT key::text AS key, payload FROM actions WHERE workflow = :name AND state = 'done'"):
            folder = house.folder / "out"
            folder.mkdir(exist_ok=True)
            body = json.dumps({"key": row["key"], **row["payload"]}, sort_keys=True, separators=(",", ":"))
            (folder / f"{row['key']}.json").write_bytes(body.encode())


def _told(house: House) -> bool:
    with house.entered():
        links = list(reconcile(where(house.settings), [declared(house.spec, house.settings)], Span()))
    return any(not link.holds for link in links)


def _standing(house: House) -> dict[tuple[str, int], str]:
    return {(row["case_id"], row["epoch"]): row["option"] for row in house.decisions()}


def _cases(house: House) -> Iterator[tuple[str, str]]:
    """What happened outside: case and kind of each file."""
    for path in (house.folder / "out").glob("[!.]*.json"):
        said = json.loads(path.read_text())
        yield said["case"], said["action"]


@contextmanager
def _without(protection: str | None) -> Iterator[None]:
    if protection is None:
        yield
        return
    whole: Callable[..., object] = FileDrop.send

    def keyless(self: FileDrop, action: ClaimedAction) -> object:
        return whole(self, replace(action, key=uuid4()))

    with mock.patch.object(FileDrop, "send", keyless):
        yield


if __name__ == "__main__":
    raise SystemExit(run("restore", str(__doc__), ["keys"], 3, suite))
