"""MLflow names files by whole URLs: where they lie now, its rows are told. Its own API has no call for that."""

from __future__ import annotations

from sqlalchemy import Connection, text

#: Table and column of each URL of files.
_PLACES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
    ("logged_models", "artifact_location"),
)
_THERE = "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'"


def relocate(connection: Connection, before: str, now: str) -> int:
    """Puts one URL for another at the beginning of every place of files; returns how many places changed.

    Done again it changes nothing, also where one of the two begins with the other.

    Args:
        before, now: without a slash at the end.
    """
    if before == now:
        return 0
    # what was moved to a place below the one before would be moved once more
    moved = f"{now}/" if now.startswith(f"{before}/") else None
    there = {(table, column) for table, column in connection.execute(text(_THERE))}
    changed = 0
    for table, column in _PLACES:
        if (table, column) not in there:
            continue
        move = text(
            f"UPDATE {table} SET {column} = :now || substr({column}, length(:before) + 1) "
            f"WHERE ({column} = :before OR starts_with({column}, :before || '/')) "
            f"AND (CAST(:moved AS text) IS NULL OR NOT starts_with({column} || '/', :moved))"
        )
        changed += connection.execute(move, {"before": before, "now": now, "moved": moved}).rowcount
    return changed
