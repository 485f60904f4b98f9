"""A backup while everything goes on: one moment of each database, the ledger's in the middle, and the rest by version.

What the ledger names must be in the backup, and what Dagster calls done must be in the ledger. So the moments are held
in this order: Dagster's, the ledger's, MLflow's; and lake and models are read after that. Whatever is newer than the
ledger's moment nobody misses: a night that is run again writes it again.
"""

from __future__ import annotations

import hashlib
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, text

from pipeline_project.domain.core.errors import BackupRefused
from pipeline_project.operations.moving import manifest as manifests
from pipeline_project.operations.moving.lake_copy import copy_table, versions
from pipeline_project.operations.moving.manifest import CHECKPOINTS, DATABASES, FOLDERS, Manifest, own_checkpoints
from pipeline_project.running_code import project_version
from pipeline_project.settings import Settings
from resources.files.trees import FileStamp, FileTree, LocalTree, copy, tree_of
from resources.keys.key_files import keys_at
from resources.ledger.audit.checkpoint_file import FILE as CHECKPOINT_FILE
from resources.ledger.audit.checkpoint_file import lines_until
from resources.postgres import dumps
from resources.postgres.databases import Databases
from resources.postgres.locks import UPKEEP
from resources.postgres.sessions import named_session

#: In the order in which their moments are taken.
ORDER = ("dagster", "ledger", "mlflow")
_END = "SELECT number, hash FROM audit_batches ORDER BY number DESC LIMIT 1"
_MODELS = "SELECT name, version FROM model_versions ORDER BY name, version"

Progress = Callable[[str], None]


def parts_of(settings: Settings) -> tuple[str, ...]:
    """Those of `ORDER` that are one's own: Dagster's database is the house's, whatever tenants it has."""
    return tuple(name for name in ORDER if not (settings.tenant and name == "dagster"))


def url_of(databases: Databases, name: str) -> str:
    """The URL of one of `ORDER`."""
    return str(getattr(databases, f"{name}_url"))


@dataclass(frozen=True)
class Source:
    """The house that is backed up.

    Attributes:
        models_url: where the files of models lie, as MLflow names it.
    """

    settings: Settings
    databases: Databases
    models_url: str


def back_up(source: Source, target_url: str, keys: Path | None, progress: Progress) -> Manifest:
    """Writes one consistent point of a house; nights, desk and dispatcher may go on meanwhile.

    A target that was left unfinished is taken up again.

    Args:
        keys: where the keys go, best on another disk; None leaves them out.

    Raises:
        BackupRefused: something lies at the target that is none of an unfinished backup's.
        LakeDamaged: a file of the lake is not what was written.
        DatabaseUnreachable, LakeUnavailable: a store does not answer.
    """
    target = tree_of(target_url)
    _refuse_foreign(target)
    settings = source.settings
    before = key_files(settings.keys)
    with _undisturbed(source.databases):
        facts, tables, files = _moments(source, target, progress)
        # a key that was destroyed meanwhile wraps what this ledger holds; one that was made meanwhile may as well
        secrets = {**key_files(settings.keys), **before}
        facts["keys"] = {name: fingerprint(content) for name, content in secrets.items()}
        facts["lake"] = {}
        present = target.sizes(manifests.LAKE)
        for table, newest in sorted(tables.items()):
            progress(f"lake {table}")
            copied = copy_table(tree_of(settings.lake_url), table, newest, target, present)
            facts["lake"][table] = copied[0]
            files |= copied[1]
        for folder in FOLDERS:
            progress(folder)
            files |= _folder(tree_of(getattr(settings, folder)), folder, target)
        files |= _checkpoints(settings.checkpoints, facts["chain"][0], target)
    if keys is not None:
        write_keys(keys, secrets)
    finished = Manifest(**facts, files=files)
    manifests.write(target, finished)
    return finished


def _moments(
    source: Source, target: FileTree, progress: Progress
) -> tuple[dict[str, Any], dict[str, int], dict[str, FileStamp]]:
    """What the manifest says of the databases, the lake's versions at that time, and the dumps."""
    files: dict[str, FileStamp] = {}
    with ExitStack() as stack:
        moments = {
            name: stack.enter_context(dumps.snapshot(url_of(source.databases, name)))
            for name in parts_of(source.settings)
        }
        made_at = datetime.now(UTC)
        tables = versions(tree_of(source.settings.lake_url))
        ledger = moments["ledger"].connection
        end = ledger.execute(text(_END)).first() if has_table(ledger, "audit_batches") else None
        facts = {
            "id": uuid.uuid4().hex,
            "made_at": made_at.isoformat(timespec="seconds"),
            "project": project_version(),
            "revisions": {name: revision_of(moment.connection) for name, moment in moments.items()},
            "postgres": dumps.server_version(ledger),
            "chain": (end.number, end.hash) if end else (0, ""),
            "registry": _models(moments["mlflow"].connection),
            "models_url": source.models_url,
        }
        for name, moment in moments.items():
            progress(f"database {name}")
            files |= _dumped(moment, name, source.settings.home, target)
    return facts, tables, files


def key_files(place: Path | str) -> dict[str, bytes]:
    """The keys at a place, by the names of their files."""
    files = keys_at(place)
    return {name: files.read(name) for name in files.names("*") if not name.startswith(".")}


def write_keys(place: Path | str, keys: Mapping[str, bytes]) -> None:
    """Puts keys into a folder that only its owner may open, or behind a URL, wrapped.

    Raises:
        BackupRefused: another key lies there under the same name.
    """
    files = keys_at(place)
    for name, content in keys.items():
        if files.made_once(name, partial(bytes, content)) != content:
            raise BackupRefused(
                f"{files.where(name)} is another key than the one that belongs here; a key that is lost cannot be made "
                "again, so nothing was replaced: name an empty folder, or move that file away"
            )


def fingerprint(key: bytes) -> str:
    """What tells a key from another one and nothing of it."""
    return hashlib.sha256(b"pipeline key " + key).hexdigest()[:24]


@contextmanager
def _undisturbed(databases: Databases) -> Iterator[None]:
    """While files are listed and copied, retention deletes none."""
    with named_session(databases.ledger_url, "backup") as connection:
        UPKEEP.hold_shared(connection)
        yield


def _refuse_foreign(target: FileTree) -> None:
    there = target.sizes()
    if manifests.FILE in there:
        raise BackupRefused(f"{target.url} holds a finished backup; name another target")
    ours = (DATABASES, manifests.LAKE, CHECKPOINTS, *FOLDERS)
    if foreign := [path for path in there if path.partition("/")[0] not in ours]:
        raise BackupRefused(f"{target.url} holds {foreign[0]}, which is no backup's; name an empty folder or prefix")


def _dumped(moment: dumps.Snapshot, name: str, home: Path, target: FileTree) -> dict[str, FileStamp]:
    path = f"{DATABASES}/{name}.dump"
    with tempfile.TemporaryDirectory(prefix=".backup-", dir=home) as folder:
        dumps.dump(moment, Path(folder) / "dump")
        return {path: copy(LocalTree(folder), "dump", target, path)}


def _folder(source: FileTree, name: str, target: FileTree) -> dict[str, FileStamp]:
    files = {}
    for path in source.sizes():
        try:
            files[f"{name}/{path}"] = copy(source, path, target, f"{name}/{path}")
        except FileNotFoundError:
            continue  # a page that was just being written anew under another name
    return files


def _checkpoints(place: str, end: int, target: FileTree) -> dict[str, FileStamp]:
    """Those over the chain as it is in the backup; later ones would speak of batches that it does not have."""
    files = {}
    source = tree_of(place)
    for path in own_checkpoints(source):
        if path == CHECKPOINT_FILE:
            target.write(f"{CHECKPOINTS}/{path}", lines_until(source.read(path), end))
            content = target.read(f"{CHECKPOINTS}/{path}")
            files[f"{CHECKPOINTS}/{path}"] = FileStamp(len(content), hashlib.sha256(content).hexdigest())
        else:
            files[f"{CHECKPOINTS}/{path}"] = copy(source, path, target, f"{CHECKPOINTS}/{path}")
    return files


def has_table(connection: Connection, table: str) -> bool:
    return connection.scalar(text("SELECT to_regclass(:table)"), {"table": table}) is not None


def revision_of(connection: Connection) -> str | None:
    if not has_table(connection, "alembic_version"):
        return None
    return connection.scalar(text("SELECT max(version_num) FROM alembic_version"))


def _models(connection: Connection) -> dict[str, list[str]]:
    by_workflow: dict[str, list[str]] = {}
    for name, number in connection.execute(text(_MODELS)) if has_table(connection, "model_versions") else ():
        by_workflow.setdefault(name, []).append(str(number))
    return by_workflow
