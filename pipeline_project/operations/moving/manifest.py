"""What a backup says of itself: which version of each thing it holds, and the digest of every file. Written last."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from pipeline_project.domain.core.errors import BackupUnusable
from pipeline_project.domain.core.tenants import FOLDER as TENANTS
from resources.files.trees import FileStamp, FileTree

FILE = "manifest.json"
#: Raised when a backup of before can no longer be read.
FORMAT = 1
#: Folders of a backup.
DATABASES, LAKE = "databases", "lake"
#: What goes along from where the settings of these names point.
FOLDERS = ("models", "reports", "repairs")
CHECKPOINTS = "checkpoints"


def own_checkpoints(place: FileTree) -> list[str]:
    """The files at a house's or a tenant's place of checkpoints, without those of the tenants below a house's."""
    return [path for path in place.sizes() if not path.startswith(f"{TENANTS}/")]


@dataclass(frozen=True)
class TableVersion:
    """One table of the lake: its newest version, the files of that one, and those of earlier versions still there."""

    version: int
    files: int
    earlier: int


@dataclass(frozen=True)
class Manifest:
    """
    Attributes:
        id: of this backup, like no other.
        made_at: when the ledger was looked at, in UTC.
        project: the version of the code that made it.
        revisions: of the schemas of the three databases.
        postgres: the server's major version.
        chain: number and hash of the last batch of the audit chain.
        lake: by `workflow/table`.
        registry: model versions by workflow.
        models_url: where model files lay; MLflow names them by it.
        keys: by file name a fingerprint that only the same key has.
        files: by path in the backup.
    """

    id: str
    made_at: str
    project: str
    revisions: Mapping[str, str | None]
    postgres: int
    chain: tuple[int, str]
    lake: Mapping[str, TableVersion]
    registry: Mapping[str, list[str]]
    models_url: str
    keys: Mapping[str, str]
    files: Mapping[str, FileStamp] = field(repr=False)

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(stamp.size for stamp in self.files.values())


def write(target: FileTree, manifest: Manifest) -> None:
    """The last file of a backup: without it there is none."""
    target.write(FILE, json.dumps({"format": FORMAT, **asdict(manifest)}, indent=1).encode())


def read(source: FileTree) -> Manifest:
    """What lies in a backup.

    Raises:
        BackupUnusable: there is no finished backup, or one of another format.
    """
    try:
        document = json.loads(source.read(FILE))
        given = document.pop("format")
    except FileNotFoundError:
        raise BackupUnusable(
            f"{source.url} holds no finished backup ({FILE} is missing, which is written last); give `pipeline backup` "
            "again for the same target, or name another source"
        ) from None
    except (ValueError, KeyError, AttributeError):
        raise BackupUnusable(f"{FILE} in {source.url} cannot be read; name another backup") from None
    if given != FORMAT:
        raise BackupUnusable(
            f"{source.url} is a backup of format {given} and this version reads {FORMAT}; restore it with the version "
            "that made it"
        )
    document["lake"] = {name: TableVersion(**table) for name, table in document["lake"].items()}
    document["files"] = {path: FileStamp(**stamp) for path, stamp in document["files"].items()}
    document["chain"] = (int(document["chain"][0]), str(document["chain"][1]))
    return Manifest(**document)
