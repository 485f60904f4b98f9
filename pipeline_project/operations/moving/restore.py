"""Puts a backup into another place; stopped anywhere, the same command goes on.

Files are compared with their digests before they are written again, and a database is restored in one transaction: it
is empty or whole. A mark in the home says what was begun, and keeps everybody else out until the end.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import text

from pipeline_project.domain.core.errors import BackupUnusable, RestoreRefused
from pipeline_project.operations.moving import manifest as manifests
from pipeline_project.operations.moving.backup import fingerprint, has_table, key_files, parts_of, url_of, write_keys
from pipeline_project.operations.moving.lake_copy import LOG
from pipeline_project.operations.moving.manifest import CHECKPOINTS, DATABASES, FOLDERS, LAKE, Manifest, own_checkpoints
from pipeline_project.settings import Settings
from resources.files.small_files import read_object, write_whole
from resources.files.trees import FileStamp, FileTree, LocalTree, copy, stamp_of, tree_of
from resources.files.unfinished import MARK
from resources.ledger.granting import create_missing, grant
from resources.ledger.migrate import head
from resources.postgres import dumps
from resources.postgres.databases import Databases, begun, engine_of, safe
from resources.registry.relocating import relocate

Progress = Callable[[str], None]

_UNSENT = (
    "SELECT DISTINCT workflow FROM actions WHERE state NOT IN ('done', 'rehearsed', 'dead', 'cancelled') ORDER BY 1"
)


@dataclass(frozen=True)
class Place:
    """Where a backup goes.

    Attributes:
        models_url: where files of models are to lie, as MLflow names it.
    """

    settings: Settings
    databases: Databases
    models_url: str

    def tree(self, folder: str) -> FileTree:
        """Where a folder of the backup goes."""
        return tree_of(self.settings.lake_url if folder == LAKE else getattr(self.settings, folder))


@dataclass(frozen=True)
class Restored:
    """What was put there.

    Attributes:
        copied, there: files that were written, and that lay there already as they should.
        databases: restored now; those of an earlier try are not counted again.
        lacking_keys: names of keys that the house had and this place lacks, or has others of.
        unsent: workflows with actions that were not sent when the backup was made.
    """

    manifest: Manifest
    copied: int
    there: int
    databases: tuple[str, ...]
    lacking_keys: tuple[str, ...]
    unsent: tuple[str, ...]


@dataclass
class _Mark:
    """What a restore has begun."""

    path: Path
    backup: str
    source: str
    overwrite: bool
    begun: list[str] = field(default_factory=list)

    def note(self, part: str) -> None:
        """On the disk before the part is touched."""
        if part not in self.begun:
            self.begun.append(part)
        self.save()

    def save(self) -> None:
        content = {"backup": self.backup, "source": self.source, "overwrite": self.overwrite, "begun": self.begun}
        write_whole(self.path, json.dumps(content), 0o600)


def put_back(source_url: str, place: Place, keys: Path | None, overwrite: bool, progress: Progress) -> Restored:
    """Puts a backup into a place whose databases are there; migrating them is left to whoever uses them.

    Args:
        keys: the folder that the backup's keys lie in; None takes what the place has.
        overwrite: what lies there is replaced. Keys and checkpoints never are.

    Raises:
        BackupUnusable: there is no whole backup that this version can read.
        RestoreRefused: something lies there.
        BackupRefused: another key lies where one of the backup's belongs.
        DatabaseUnreachable, LakeUnavailable: a store does not answer.
    """
    source = tree_of(source_url)
    manifest = manifests.read(source)
    _refuse_newer(manifest, place)
    mark = _marked(place, manifest, source.url, overwrite)
    if keys is not None:
        write_keys(place.settings.keys, _own_keys(keys, manifest))
    counts = [0, 0]
    for folder in (LAKE, *FOLDERS):
        progress(folder)
        tree, wanted = place.tree(folder), _files_of(manifest, folder)
        if mark.overwrite and folder not in mark.begun:
            _remove_others(tree, folder, wanted)
        mark.note(folder)
        _put_files(source, tree, folder, wanted, counts)
    _put_checkpoints(source, place, manifest, mark, counts)
    names = [name for name in parts_of(place.settings) if f"{DATABASES}/{name}.dump" in manifest.files]
    restored = [name for name in names if _put_database(source, place, manifest, name, mark, progress)]
    with begun(engine_of(place.databases.mlflow_url)) as connection:
        relocate(connection, manifest.models_url, place.models_url)
    with begun(engine_of(place.databases.ledger_url)) as connection:
        create_missing(connection)
        grant(connection)
        unsent = tuple(connection.scalars(text(_UNSENT))) if has_table(connection, "actions") else ()
    mark.path.unlink()
    lacking = lacking_keys(place.settings.keys, manifest.keys)
    return Restored(manifest, counts[0], counts[1], tuple(restored), lacking, unsent)


def lacking_keys(place: Path | str, wanted: Mapping[str, str]) -> tuple[str, ...]:
    """The names of keys that are not there, or are others than those of the backup."""
    there = {name: fingerprint(content) for name, content in key_files(place).items()}
    return tuple(name for name, prints in sorted(wanted.items()) if there.get(name) != prints)


def _refuse_newer(manifest: Manifest, place: Place) -> None:
    revision = manifest.revisions.get("ledger")
    if revision is not None and revision > head():
        raise BackupUnusable(
            f"the backup's ledger has schema {revision} and this version knows {head()}; restore it with version "
            f"{manifest.project} or a newer one"
        )
    with begun(engine_of(place.databases.ledger_url)) as connection:
        server = dumps.server_version(connection)
    if server < manifest.postgres:
        raise BackupUnusable(
            f"the backup is of PostgreSQL {manifest.postgres} and {safe(place.databases.ledger_url)} is {server}, "
            "which cannot read it; name a server that is as new"
        )


def _marked(place: Place, manifest: Manifest, source: str, overwrite: bool) -> _Mark:
    """The mark of this restore: the one that was left half-way, or a new one where the place is empty."""
    path = place.settings.home / MARK
    left = read_object(path) if path.exists() else None
    if left is not None and left.get("backup") == manifest.id:
        return _Mark(path, manifest.id, source, overwrite or bool(left.get("overwrite")), list(left.get("begun", [])))
    if left is not None and not overwrite:
        raise RestoreRefused(
            f"another backup ({left.get('source')}) was put into {place.settings.home} half-way; restore that one, or "
            "give --overwrite to replace what is there"
        )
    if not overwrite:
        _refuse_full(place)
    mark = _Mark(path, manifest.id, source, overwrite)
    mark.save()
    return mark


def _refuse_full(place: Place) -> None:
    names = parts_of(place.settings)
    full = [safe(url) for name in names if not dumps.is_empty(url := url_of(place.databases, name))]
    full += [tree.url for folder in (LAKE, *FOLDERS) if (tree := place.tree(folder)).sizes()]
    if full:
        raise RestoreRefused(
            f"{full[0]} is not empty; name another place (PIPELINE_HOME, PIPELINE_POSTGRES_URL, PIPELINE_LAKE_URL), or "
            "give --overwrite to replace what is there"
        )


def _own_keys(folder: Path, manifest: Manifest) -> dict[str, bytes]:
    """The keys of the backup in a folder, where there are no others.

    Raises:
        RestoreRefused: one is missing there, or another one lies there under its name.
    """
    there = key_files(folder)
    wrong = [name for name, prints in manifest.keys.items() if name not in there or fingerprint(there[name]) != prints]
    if wrong:
        raise RestoreRefused(
            f"{wrong[0]} in {folder} is missing or is not the key of this backup; name the folder that "
            "`pipeline backup --keys` wrote with it"
        )
    return {name: there[name] for name in manifest.keys}


def _files_of(manifest: Manifest, folder: str) -> dict[str, FileStamp]:
    """By path below the folder; a table's log comes after the files that it names, in its own order."""
    chosen = {
        path.removeprefix(f"{folder}/"): stamp
        for path, stamp in manifest.files.items()
        if path.startswith(f"{folder}/")
    }
    return dict(sorted(chosen.items(), key=lambda item: (f"/{LOG}/" in item[0], "/_last_" in item[0], item[0])))


def _put_files(
    source: FileTree, tree: FileTree, folder: str, wanted: Mapping[str, FileStamp], counts: list[int]
) -> None:
    present = tree.sizes()
    for path, stamp in wanted.items():
        if present.get(path) == stamp.size and stamp_of(tree, path) == stamp:
            counts[1] += 1
            continue
        _copied(source, f"{folder}/{path}", stamp, tree, path)
        counts[0] += 1


def _copied(source: FileTree, path: str, stamp: FileStamp, tree: FileTree, to_path: str) -> None:
    """
    Raises:
        BackupUnusable: what lies in the backup is not what the manifest says.
    """
    try:
        written = copy(source, path, tree, to_path)
    except FileNotFoundError:
        written = None
    if written == stamp:
        return
    if written is not None:
        tree.remove(to_path)
    raise BackupUnusable(f"{path} in {source.url} is missing or not what was written there; take another backup")


def _remove_others(tree: FileTree, folder: str, wanted: Collection[str]) -> None:
    """What a table, or a folder, has beside the backup's files would be taken for newer versions of it."""
    for path in tree.sizes():
        if path not in wanted or (folder == LAKE and f"/{LOG}/" in path):
            tree.remove(path)


def _put_checkpoints(source: FileTree, place: Place, manifest: Manifest, mark: _Mark, counts: list[int]) -> None:
    """Those that lie there stay: they may know of what the backup lacks, which nobody could tell without them."""
    tree = place.tree(CHECKPOINTS)
    if CHECKPOINTS in mark.begun or not own_checkpoints(tree):
        mark.note(CHECKPOINTS)
        _put_files(source, tree, CHECKPOINTS, _files_of(manifest, CHECKPOINTS), counts)


def _put_database(
    source: FileTree, place: Place, manifest: Manifest, name: str, mark: _Mark, progress: Progress
) -> bool:
    """Restores one database unless an earlier try did; says whether."""
    url, path = url_of(place.databases, name), f"{DATABASES}/{name}.dump"
    empty = dumps.is_empty(url)
    if name in mark.begun and not empty:
        return False
    progress(f"database {name}")
    if not empty and not mark.overwrite:
        raise RestoreRefused(f"{safe(url)} was filled meanwhile by somebody else; nothing more was done")
    with tempfile.TemporaryDirectory(prefix=".restore-", dir=place.settings.home) as folder:
        _copied(source, path, manifest.files[path], LocalTree(folder), "dump")
        if not empty:
            dumps.make_empty(url)
        mark.note(name)
        dumps.restore(url, Path(folder) / "dump")
    return True
