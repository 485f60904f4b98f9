"""Puts the hashes of nights from before they were kept under a key under it, in the lake itself."""

from __future__ import annotations

from resources.lake.sealed import CASES, ROWS, SealedLake


def put_under_key(lake: SealedLake, workflow: str) -> int:
    """How many nights of a workflow's tables were written anew; what holds no such hash is left alone.

    Stopped halfway it is done again by the next call. Versions of before stay in the lake as long as it keeps any.

    Raises:
        KeysUnusable: see `PostgresKeyring.hashes`.
    """
    written = 0
    for table in (*ROWS, CASES):
        for night in sorted(lake.nights(workflow, table)):
            before = lake.read_sealed(workflow, table, night)
            after = None if before is None else lake.under_key(workflow, before)
            if after is not None and after is not before:
                # the note says by which spec the table was last written; upkeep must not hide that
                lake.write_sealed(workflow, table, night, after, lake.last_note(workflow, table))
                written += 1
    return written
