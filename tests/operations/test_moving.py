"""A house as one point, carried elsewhere: what is in a backup, what a restore refuses, and where it goes on."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from sqlalchemy import make_url, text

from pipeline_project.domain.core.errors import (
    BackupRefused,
    BackupUnusable,
    HomeUnusable,
    LakeDamaged,
    RestoreRefused,
)
from pipeline_project.operations.moving.backup import Source, back_up
from pipeline_project.operations.moving.manifest import FILE, Manifest
from pipeline_project.operations.moving.restore import Place, Restored, put_back
from pipeline_project.settings import Settings
from resources.files.trees import LocalTree
from resources.files.unfinished import refuse_unfinished
from resources.lake.lake import DeltaLake
from resources.ledger import migrate
from resources.ledger.audit.chain import append
from resources.ledger.audit.checkpoints import Checkpoints
from resources.ledger.audit.facts import Fact
from resources.ledger.audit.trail import AuditTrail
from resources.ledger.nights.ledger import PostgresLedger
from resources.ledger.roles import AUDITOR
from resources.postgres import dumps
from resources.postgres.databases import Databases, engine_of, url_as
from resources.postgres.locks import UPKEEP
from tests.s3_server import S3Server

NIGHTS = ("2025-01-01", "2025-01-02", "2025-01-03")
NewDatabase = Callable[[], str]


class Stopped(Exception):
    """Somebody pulled the plug."""


def nothing(part: str) -> None:
    """Nobody watches."""


@dataclass
class Small:
    """A house by hand: three databases, a lake of one table, a model's file, a page, keys, checkpoints."""

    settings: Settings
    databases: Databases

    @property
    def models_url(self) -> str:
        return (self.settings.home / "models").as_uri()

    @property
    def lake(self) -> DeltaLake:
        return DeltaLake(self.settings.lake_url)

    @property
    def signer(self) -> Checkpoints:
        return Checkpoints(self.databases.ledger_url, self.settings.checkpoints, self.settings.keys)

    def write(self, night: str, value: int = 0) -> None:
        self.lake.write_night("returns", "cases", night, pa.table({"case_id": ["a", "b"], "price": [value, 2]}))

    def fact(self, word: str) -> None:
        with engine_of(self.databases.ledger_url).begin() as connection:
            append(connection, "answers", "returns", [Fact(None, {"case_id": word})])

    def tell(self, database: str, word: str) -> None:
        with engine_of(getattr(self.databases, f"{database}_url")).begin() as connection:
            connection.execute(text("CREATE TABLE IF NOT EXISTS told (word text)"))
            connection.execute(text("INSERT INTO told VALUES (:word)"), {"word": word})

    def told(self, database: str) -> list[str]:
        with engine_of(getattr(self.databases, f"{database}_url")).connect() as connection:
            return list(connection.scalars(text("SELECT word FROM told ORDER BY word")))

    def backed_up(
        self, target: Path | str, keys: Path | None = None, progress: Callable[[str], None] = nothing
    ) -> Manifest:
        return back_up(Source(self.settings, self.databases, self.models_url), str(target), keys, progress)

    def restored(
        self, source: Path | str, keys: Path | None = None, overwrite: bool = False,
        progress: Callable[[str], None] = nothing,
    ) -> Restored:  # fmt: skip
        return put_back(str(source), Place(self.settings, self.databases, self.models_url), keys, overwrite, progress)


@pytest.fixture
def house(tmp_path: Path, new_database: NewDatabase, own_ledger: str) -> Small:
    home = tmp_path / "home"
    house = Small(Settings(home), Databases(new_database(), new_database(), own_ledger))
    for path, content in (("models/returns/1/model.json", "{}"), ("reports/returns/2025-01-01.html", "<html>")):
        (home / path).parent.mkdir(parents=True)
        (home / path).write_text(content)
    for night in NIGHTS:
        house.write(night)
    for database in ("dagster", "mlflow"):
        house.tell(database, "first")
    house.fact("first")
    house.signer.checkpoint()
    (Path(house.settings.keys) / "subject-master-1.key").write_bytes(b"sealed with me")
    return house


@pytest.fixture
def elsewhere(tmp_path: Path, new_database: NewDatabase) -> Small:
    """An empty place."""
    home = tmp_path / "elsewhere"
    home.mkdir()
    return Small(Settings(home), Databases(new_database(), new_database(), new_database()))


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "backup"


def files_below(folder: Path) -> dict[str, bytes]:
    return {path: LocalTree(folder).read(path) for path in LocalTree(folder).sizes()}


def test_everything_is_elsewhere_as_it_was(house: Small, elsewhere: Small, target: Path, tmp_path: Path) -> None:
    vault = tmp_path / "vault"
    manifest = house.backed_up(target, vault)
    assert manifest.lake["returns/cases"].version == house.lake.version("returns", "cases") == 3
    assert manifest.revisions["ledger"] == migrate.head() and manifest.chain[0] == 2
    assert not [path for path in files_below(target) if path.endswith((".key", ".pem")) and "pub" not in path]
    assert {path.stat().st_mode & 0o777 for path in vault.iterdir()} == {0o600} and vault.stat().st_mode & 0o77 == 0

    done = elsewhere.restored(target, vault)
    assert (done.databases, done.there, done.lacking_keys, done.unsent) == (("dagster", "ledger", "mlflow"), 0, (), ())
    for folder in ("models", "reports", "lake", "keys", "checkpoints"):
        assert files_below(elsewhere.settings.home / folder) == files_below(house.settings.home / folder)
    assert elsewhere.told("dagster") == elsewhere.told("mlflow") == ["first"]
    assert elsewhere.lake.read_night("returns", "cases", NIGHTS[2]) is not None
    assert AuditTrail(elsewhere.databases.ledger_url).verify(elsewhere.signer.read()).verdict.intact
    # its roles may what they may, and the next checkpoint continues the chain
    with engine_of(url_as(elsewhere.databases.ledger_url, AUDITOR)).connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM audit_batches")) == 2
    elsewhere.fact("second")
    assert elsewhere.signer.checkpoint() is not None


def test_what_happens_meanwhile_is_not_half_in_it(house: Small, elsewhere: Small, target: Path) -> None:
    """A night ends and is signed while files are being copied; retention would have to wait."""
    locked = []

    def meanwhile(part: str) -> None:
        if part == "database ledger":
            house.tell("dagster", "second")
            house.fact("second")
            house.signer.checkpoint()
            house.write("2025-01-04")
        elif part.startswith("lake "):
            house.write("2025-01-05")
            house.write(NIGHTS[0], 7)
            with engine_of(house.databases.ledger_url).connect() as connection:
                locked.append(UPKEEP.try_hold(connection))

    manifest = house.backed_up(target, None, meanwhile)
    assert locked == [False]
    done = elsewhere.restored(target)
    assert (elsewhere.told("dagster"), manifest.chain[0]) == (["first"], 2)
    assert elsewhere.lake.nights("returns", "cases") == set(NIGHTS)
    first = elsewhere.lake.read_night("returns", "cases", NIGHTS[0])
    assert first is not None and first["price"].to_pylist() == [0, 2]
    # the checkpoint over what the backup lacks would call its chain cut
    Path(elsewhere.settings.keys).mkdir()
    for key in Path(house.settings.keys).iterdir():
        (Path(elsewhere.settings.keys) / key.name).write_bytes(key.read_bytes())
    assert len(elsewhere.signer.read()) == 1 and len(house.signer.read()) == 2
    assert AuditTrail(elsewhere.databases.ledger_url).verify(elsewhere.signer.read()).verdict.intact
    assert done.lacking_keys == ("audit_ed25519.pem", "subject-master-1.key")


def test_dagster_is_never_ahead_of_the_ledger(
    house: Small, elsewhere: Small, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A night that Dagster calls done and the ledger lacks would never be run again."""
    held = dumps.snapshot

    @contextmanager
    def one_night_ends(url: str) -> Iterator[dumps.Snapshot]:
        with held(url) as moment:
            if url == house.databases.dagster_url or url == house.databases.ledger_url:
                word = f"after {moment.connection.engine.url.database}"
                house.tell("ledger", word)
                house.tell("dagster", word)
            yield moment

    monkeypatch.setattr(dumps, "snapshot", one_night_ends)
    house.tell("ledger", "first")
    house.backed_up(target)
    elsewhere.restored(target)
    assert set(elsewhere.told("dagster")) < set(elsewhere.told("ledger"))


def stops_at(wanted: str) -> Callable[[str], None]:
    def step(part: str) -> None:
        if part == wanted:
            raise Stopped

    return step


def test_a_restore_goes_on_wherever_it_was_stopped(house: Small, elsewhere: Small, target: Path) -> None:
    house.backed_up(target)
    parts: list[str] = []
    for part in ("lake", "models", "reports", "repairs", "database dagster", "database ledger", "database mlflow"):
        with pytest.raises(Stopped):
            elsewhere.restored(target, progress=stops_at(part))
        with pytest.raises(HomeUnusable, match="pipeline restore"):
            refuse_unfinished(elsewhere.settings.home)
    done = elsewhere.restored(target, progress=parts.append)
    refuse_unfinished(elsewhere.settings.home)
    assert done.there == len([path for path in done.manifest.files if not path.startswith("databases/")])
    assert (done.copied, done.databases) == (0, ("mlflow",)) and "database ledger" not in parts
    assert elsewhere.told("dagster") == ["first"]


def test_a_kill_right_after_a_database_was_restored(
    house: Small, elsewhere: Small, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.backed_up(target)
    whole = dumps.restore

    def dies(url: str, file: Path) -> None:
        whole(url, file)
        raise Stopped

    with monkeypatch.context() as patched, pytest.raises(Stopped):
        patched.setattr(dumps, "restore", dies)
        elsewhere.restored(target)
    assert elsewhere.restored(target).databases == ("ledger", "mlflow")
    assert elsewhere.told("dagster") == ["first"]


def test_a_dump_is_restored_whole_or_not_at_all(house: Small, elsewhere: Small, target: Path) -> None:
    house.backed_up(target)
    file = target / "databases" / "ledger.dump"
    cut = target / "cut.dump"
    cut.write_bytes(file.read_bytes()[:-2000])
    with pytest.raises(Exception, match="pg_restore ended with"):
        dumps.restore(elsewhere.databases.ledger_url, cut)
    assert dumps.is_empty(elsewhere.databases.ledger_url)


@pytest.mark.parametrize("what", ["lake", "models", "dagster"])
def test_what_is_not_empty_is_left_as_it_is(house: Small, elsewhere: Small, target: Path, what: str) -> None:
    house.backed_up(target)
    if what == "lake":
        for _ in range(6):
            elsewhere.write("2025-02-01", 9)
    elif what == "models":
        (elsewhere.settings.home / "models").mkdir()
        (elsewhere.settings.home / "models" / "mine").write_text("mine")
    else:
        elsewhere.tell("dagster", "mine")
    with pytest.raises(RestoreRefused, match=r"is not empty.*--overwrite"):
        elsewhere.restored(target)
    refuse_unfinished(elsewhere.settings.home)

    elsewhere.restored(target, overwrite=True)
    assert files_below(Path(elsewhere.settings.lake_url)) == files_below(Path(house.settings.lake_url))
    assert sorted(files_below(elsewhere.settings.home / "models")) == ["returns/1/model.json"]
    assert elsewhere.told("dagster") == ["first"]


def test_an_overwriting_restore_that_was_stopped_goes_on_without_being_told_again(
    house: Small, elsewhere: Small, target: Path
) -> None:
    house.backed_up(target)
    elsewhere.tell("ledger", "mine")

    with pytest.raises(Stopped):
        elsewhere.restored(target, overwrite=True, progress=stops_at("database ledger"))
    assert elsewhere.restored(target).databases == ("ledger", "mlflow")


def test_a_place_that_was_filled_meanwhile_is_left(house: Small, elsewhere: Small, target: Path) -> None:
    house.backed_up(target)

    def fills(part: str) -> None:
        if part == "database dagster":
            elsewhere.tell("ledger", "mine")

    with pytest.raises(RestoreRefused, match="filled meanwhile"):
        elsewhere.restored(target, progress=fills)
    assert elsewhere.told("ledger") == ["mine"]


def test_a_damaged_backup_is_said_to_be_one(house: Small, elsewhere: Small, target: Path) -> None:
    house.backed_up(target)
    lake = next((target / "lake").rglob("*.parquet"))
    for file in (lake, target / "models/returns/1/model.json", target / "databases/mlflow.dump"):
        whole = file.read_bytes()
        flipped = bytearray(whole)
        flipped[len(whole) // 2] ^= 1
        for damaged in (None, bytes(flipped)):
            file.unlink() if damaged is None else file.write_bytes(damaged)
            with pytest.raises(BackupUnusable, match=f"{file.name} .*take another backup"):
                elsewhere.restored(target)
        file.write_bytes(whole)
    assert elsewhere.restored(target).databases == ("mlflow",)


def test_only_a_finished_backup_of_this_kind_is_read(house: Small, elsewhere: Small, target: Path) -> None:
    with pytest.raises(Stopped):
        house.backed_up(target, None, stops_at("models"))
    with pytest.raises(BackupUnusable, match="holds no finished backup"):
        elsewhere.restored(target)
    # the same command goes on, and what lies there already is not written again
    before = {path: path.stat().st_mtime_ns for path in target.rglob("*.parquet")}
    house.backed_up(target)
    assert {path: path.stat().st_mtime_ns for path in target.rglob("*.parquet")} == before
    with pytest.raises(BackupRefused, match="finished backup"):
        house.backed_up(target)

    manifest = json.loads((target / FILE).read_text())
    for change, words in (
        ({"format": 2}, "of format 2"),
        ({"revisions": {**manifest["revisions"], "ledger": "9999"}}, "schema 9999"),
        ({"postgres": 99}, "of PostgreSQL 99"),
    ):
        (target / FILE).write_text(json.dumps({**manifest, **change}))
        with pytest.raises(BackupUnusable, match=words):
            elsewhere.restored(target)


def test_a_target_with_something_else_in_it_is_left(house: Small, target: Path) -> None:
    target.mkdir()
    (target / "thesis.txt").write_text("mine")
    with pytest.raises(BackupRefused, match=r"thesis\.txt"):
        house.backed_up(target)
    assert list(target.iterdir()) == [target / "thesis.txt"]


def test_a_lake_that_rots_is_not_backed_up(house: Small, target: Path) -> None:
    file = next(Path(house.lake.uri("returns", "cases"), f"night={NIGHTS[1]}").iterdir())
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(LakeDamaged, match="not those that were written"):
        house.backed_up(target)
    file.unlink()
    with pytest.raises(LakeDamaged, match="is gone"):
        house.backed_up(target)
    assert not (target / FILE).exists()
    file.write_bytes(whole)
    assert house.backed_up(target).lake["returns/cases"].files == 3


def test_earlier_versions_go_along_as_far_as_they_are_there(house: Small, elsewhere: Small, target: Path) -> None:
    house.write(NIGHTS[0], 7)
    first = house.lake.version("returns", "cases")
    house.write(NIGHTS[0], 8)
    oldest = DeltaLake(house.settings.lake_url).store.open(house.lake.uri("returns", "cases"), 1)
    assert oldest is not None
    Path(oldest.file_uris()[0]).unlink()
    manifest = house.backed_up(target)
    assert (manifest.lake["returns/cases"].files, manifest.lake["returns/cases"].earlier) == (3, 1)
    elsewhere.restored(target)
    as_it_was = elsewhere.lake.read_night("returns", "cases", NIGHTS[0], first)
    assert as_it_was is not None and as_it_was["price"].to_pylist() == [7, 2]


def test_no_key_is_replaced_by_another(house: Small, elsewhere: Small, target: Path, tmp_path: Path) -> None:
    vault, others = tmp_path / "vault", tmp_path / "others"
    house.backed_up(target, vault)
    others.mkdir()
    (others / "subject-master-1.key").write_bytes(b"another house's")
    with pytest.raises(RestoreRefused, match="is not the key of this backup"):
        elsewhere.restored(target, others)
    Path(elsewhere.settings.keys).mkdir()
    (Path(elsewhere.settings.keys) / "subject-master-1.key").write_bytes(b"another house's")
    with pytest.raises(BackupRefused, match="another key"):
        elsewhere.restored(target, vault, overwrite=True)
    assert (Path(elsewhere.settings.keys) / "subject-master-1.key").read_bytes() == b"another house's"


def test_a_key_that_is_destroyed_meanwhile_is_in_it(house: Small, target: Path, tmp_path: Path) -> None:
    def rotates(part: str) -> None:
        if part == "database dagster":
            (Path(house.settings.keys) / "subject-master-1.key").unlink()
            (Path(house.settings.keys) / "subject-master-2.key").write_bytes(b"the next")

    house.backed_up(target, tmp_path / "vault", rotates)
    assert {path.name for path in (tmp_path / "vault").iterdir()} >= {"subject-master-1.key", "subject-master-2.key"}


def test_checkpoints_that_lie_there_stay(house: Small, elsewhere: Small, target: Path) -> None:
    """They are what shows that the restored ledger lacks something."""
    house.backed_up(target)
    house.fact("second")
    house.signer.checkpoint()
    later = files_below(Path(house.settings.checkpoints))
    in_place = Small(house.settings, elsewhere.databases)
    in_place.restored(target, overwrite=True)
    assert files_below(Path(house.settings.checkpoints)) == later
    assert not AuditTrail(in_place.databases.ledger_url).verify(in_place.signer.read()).verdict.intact


def test_checkpoints_of_tenants_below_it_are_none_of_a_houses(house: Small, elsewhere: Small, target: Path) -> None:
    for place in (house.settings.checkpoints, elsewhere.settings.checkpoints):
        (Path(place) / "tenants" / "acme").mkdir(parents=True)
        (Path(place) / "tenants" / "acme" / "audit.jsonl").write_text("theirs")
    manifest = house.backed_up(target)
    assert not [path for path in manifest.files if "acme" in path]
    elsewhere.restored(target)
    assert files_below(Path(elsewhere.settings.checkpoints)) == files_below(Path(house.settings.checkpoints))


def test_an_older_ledger_is_carried_over_and_migrated(house: Small, elsewhere: Small, target: Path) -> None:
    migrate.downgrade(house.databases.ledger_url, "0016")
    assert house.backed_up(target).revisions["ledger"] == "0016"
    assert migrate.current(house.databases.ledger_url) == "0016"
    elsewhere.restored(target)
    migrate.upgrade(elsewhere.databases.ledger_url)
    assert PostgresLedger(elsewhere.databases.ledger_url).open_alerts() == []


def test_workflows_with_unsent_actions_are_named(house: Small, elsewhere: Small, target: Path) -> None:
    with engine_of(house.databases.ledger_url).begin() as connection:
        # decisions by hand would be a page of their own
        connection.execute(text("ALTER TABLE actions DROP CONSTRAINT fk_actions_workflow_case_id_epoch"))
        for workflow, state, settled in (("claims", "done", "now()"), ("returns", "ready", "NULL")):
            connection.execute(
                text(
                    "INSERT INTO actions (workflow, case_id, epoch, night, kind, step, destination, key, payload, "
                    "fingerprint, money, final, live, state, settled_at) VALUES "
                    f"('{workflow}', 'a', 1, '2025-01-01', 'pay', 1, 'till', gen_random_uuid(), '{{}}', "
                    f"repeat('0', 64), 1, true, true, '{state}', {settled})"
                )
            )
    house.backed_up(target)
    assert elsewhere.restored(target).unsent == ("returns",)


def test_passwords_are_in_no_command_line(house: Small, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = str(make_url(house.databases.ledger_url).password)
    ran: list[Any] = []
    run = subprocess.run
    monkeypatch.setattr(subprocess, "run", lambda *given, **named: ran.append((given, named)) or run(*given, **named))
    house.backed_up(target)
    commands = [(given[0], named.get("env") or {}) for given, named in ran]
    assert any("--format=custom" in words for words, _ in commands)
    assert secret and not [words for words, environ in commands if secret in f"{words}{sorted(environ.values())}"]


def test_the_models_of_mlflow_are_where_they_are_now(house: Small, elsewhere: Small, target: Path) -> None:
    with engine_of(house.databases.mlflow_url).begin() as connection:
        connection.execute(text("CREATE TABLE model_versions (name text, version int, source text)"))
        places = [f"{house.models_url}/returns/1/model", f"{house.models_url}-of-others/1", "s3://elsewhere/1"]
        for number, place in enumerate(places):
            connection.execute(text("INSERT INTO model_versions VALUES ('returns', :n, :p)"), {"n": number, "p": place})
    assert house.backed_up(target).registry == {"returns": ["0", "1", "2"]}
    elsewhere.restored(target)
    with engine_of(elsewhere.databases.mlflow_url).connect() as connection:
        there = list(connection.scalars(text("SELECT source FROM model_versions ORDER BY version")))
    assert there == [f"{elsewhere.models_url}/returns/1/model", *places[1:]]


def test_a_backup_lies_in_an_object_store_as_well(house: Small, elsewhere: Small, s3: S3Server, tmp_path: Path) -> None:
    target = f"{s3.bucket()}/backups/monday"
    with pytest.raises(Stopped):
        house.backed_up(target, None, stops_at("models"))
    with pytest.raises(BackupUnusable, match="holds no finished backup"):
        elsewhere.restored(target)
    house.backed_up(target, tmp_path / "vault")
    with pytest.raises(BackupRefused, match="finished backup"):
        house.backed_up(target)
    assert elsewhere.restored(target, tmp_path / "vault").lacking_keys == ()
    assert files_below(Path(elsewhere.settings.lake_url)) == files_below(Path(house.settings.lake_url))
    assert elsewhere.told("dagster") == ["first"]
