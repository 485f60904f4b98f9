"""Which tables a lake has."""

from __future__ import annotations

from resources.lake.delta import DeltaStore, local_files, reachable


def tables_of(store: DeltaStore, workflow: str) -> list[str]:
    """The names of the folders below a workflow's, each a table; below the lake's own, with "", the workflows.

    Raises:
        LakeUnavailable: the store cannot be read.
    """
    from deltalake.fs import DeltaStorageHandler
    from pyarrow.fs import FileSelector, FileType, PyFileSystem

    with reachable(store.url, "list the tables of"):
        # a lake of which nothing was written yet is no error
        files = local_files(store.uri()) or PyFileSystem(
            DeltaStorageHandler(store.uri(), dict(store.storage_options) or None)
        )
        entries = files.get_file_info(FileSelector(workflow, allow_not_found=True))
        return sorted(entry.base_name for entry in entries if entry.type == FileType.Directory)
