"""What the stores of a home hold at a moment: rows of the ledger's tables, bytes of databases and folders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import make_url, text

from pipeline_project.settings import Settings
from resources.files.trees import tree_of
from resources.ledger.schema import metadata
from resources.postgres.databases import databases, engine_of


@dataclass(frozen=True)
class Stored:
    """Rows by table of the ledger, bytes by store."""

    rows: Mapping[str, int]
    bytes: Mapping[str, int]

    def since(self, before: Stored) -> Stored:
        """What came in between; tables to which nothing came are left out."""
        rows = {name: count - before.rows[name] for name, count in self.rows.items() if count != before.rows[name]}
        return Stored(rows, {name: size - before.bytes[name] for name, size in self.bytes.items()})


def stored(settings: Settings) -> Stored:
    """Of a home whose server runs. A database grows page by page, so its bytes mean little for a few cases."""
    opened = databases(settings)
    rows: dict[str, int] = {}
    sizes: dict[str, int] = {}
    for name, url in (
        ("ledger", opened.ledger_url), ("Dagster's database", opened.dagster_url),
        ("MLflow's database", opened.mlflow_url),
    ):  # fmt: skip
        with engine_of(make_url(url).render_as_string(hide_password=False)).connect() as connection:
            sizes[name] = int(connection.scalar(text("SELECT pg_database_size(current_database())")) or 0)
            if name == "ledger":
                rows = {
                    table: int(connection.scalar(text(f"SELECT count(*) FROM {table}")) or 0)
                    for table in sorted(metadata.tables)
                }
    for name, place in (("lake", settings.lake_url), ("reports", settings.reports), ("models", settings.models)):
        sizes[name] = sum(tree_of(place).sizes().values())
    return Stored(rows, sizes)
