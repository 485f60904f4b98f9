"""Parts of different ages: a ledger beside a lake, a registry, a Dagster or keys of another day, as after a restore."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, NullPool, create_engine, text

from pipeline_project.reconcile.places import content_at, names_at
from pipeline_project.reconcile.scope import DeclaredWorkflow, Link, Span, Where

_NAMED = (
    "SELECT named.key, max(named.value::bigint) AS version FROM "
    "(SELECT DISTINCT data_versions FROM decisions WHERE workflow = :w) AS decided, "
    "jsonb_each_text(decided.data_versions) AS named GROUP BY named.key ORDER BY named.key"
)
_MODELS = "SELECT version FROM model_versions WHERE workflow = :w"
_CHAMPION = "SELECT version FROM champions WHERE workflow = :w ORDER BY from_night DESC, id DESC LIMIT 1"
_DECIDED = "SELECT night::text FROM attempts WHERE workflow = :w AND decided_at IS NOT NULL"
_REGISTERED = "SELECT version FROM model_versions WHERE name = :w"
_MATERIALIZED = (
    "SELECT DISTINCT partition FROM event_logs WHERE dagster_event_type = 'ASSET_MATERIALIZATION' "
    "AND asset_key = :key AND partition IS NOT NULL"
)
_SEALED = "SELECT master, count(*) AS subjects FROM subject_keys WHERE wrapped_key IS NOT NULL GROUP BY master"


def check_ages(connection: Connection, where: Where, declared: DeclaredWorkflow, span: Span) -> Link:
    """Whether the lake, the registry and Dagster are those that the ledger speaks of, not older or newer ones."""
    link = Link(declared.name, "ledger ↔ lake, registry and Dagster, by age")
    name = {"w": declared.name}
    named = {row.key: int(row.version) for row in connection.execute(text(_NAMED), name)}
    newest = {table: _newest(where.lake_url, table) for table in named}
    link.counted = (len(named), sum(version is not None for version in newest.values()))
    link.expect_none(
        "tables of the lake that are older than decisions which rest on them: put a newer copy back",
        (
            f"{table} (version {newest[table]}, decisions rest on {version})"
            for table, version in named.items()
            if _older(newest[table], version)
        ),
    )
    if where.mlflow_url is not None:
        _registry(link, connection, where.mlflow_url)
    if where.dagster_url is not None:
        _dagster(link, connection, where.dagster_url, declared.in_dagster or declared.name, span)
    return link


def check_keys(connection: Connection, keys: Path | str, checkpoints: str) -> Link:
    """Whether the keys are there that sealed values, names and signatures hang on. What they are is not looked at."""
    link = Link("", "ledger ↔ keys")
    sealed = {row.master: row.subjects for row in connection.execute(text(_SEALED))}
    there = set(names_at(str(keys), "*"))
    link.counted = (len(sealed), sum(f"subject-master-{number}.key" in there for number in sealed))
    link.expect_none(
        "master keys that are missing, so that values sealed under them cannot be read",
        (
            f"subject-master-{number}.key ({subjects} subjects)"
            for number, subjects in sealed.items()
            if f"subject-master-{number}.key" not in there
        ),
    )
    lacking = bool(sealed) and "subject-names.key" not in there
    link.expect_none(
        "keys that are missing, so that subjects are given other names", ["subject-names.key"] if lacking else []
    )
    if isinstance(keys, Path):
        link.expect_none("keys of signatures that are missing or others", _signing(keys, checkpoints))
    else:
        link.note("the key of signatures lies wrapped behind a URL, and was not looked at")
    return link


def _older(newest: int | None, version: int) -> bool:
    return newest is None or newest < version


def _newest(lake_url: str, table: str) -> int | None:
    from deltalake import DeltaTable

    uri = f"{lake_url.rstrip('/')}/{table}"
    return DeltaTable(uri).version() if DeltaTable.is_deltatable(uri) else None


def _registry(link: Link, connection: Connection, mlflow_url: str) -> None:
    name = {"w": link.workflow}
    of_ledger = set(connection.scalars(text(_MODELS), name))
    champion = connection.scalar(text(_CHAMPION), name)
    with _elsewhere(mlflow_url, "model_versions") as registry:
        registered = {str(version) for version in registry.scalars(text(_REGISTERED), name)} if registry else set()
    link.expect_none(
        "champions that the registry does not have, so that every case goes to people",
        [champion] if champion is not None and champion not in registered else [],
    )
    link.expect_none(
        "model versions of the ledger that the registry does not have: put a newer copy of MLflow's database back",
        of_ledger - registered,
    )
    newer = [version for version in registered - of_ledger if int(version) > max(map(int, of_ledger), default=0)]
    link.note(f"the registry has {len(newer)} versions that are newer than the ledger's", len(newer))


def _dagster(link: Link, connection: Connection, dagster_url: str, name: str, span: Span) -> None:
    decided = {night for night in connection.scalars(text(_DECIDED), {"w": link.workflow}) if night in span}
    key = json.dumps([name, "decisions"])
    with _elsewhere(dagster_url, "event_logs") as log:
        nights = {str(night) for night in log.scalars(text(_MATERIALIZED), {"key": key})} if log else set()
    done = {night for night in nights if night in span}
    link.expect_none(
        f"nights that Dagster calls decided and the ledger does not: pipeline nights {link.workflow} --again",
        done - decided,
    )
    behind = len(decided - done)
    link.note(f"{behind} decided nights that Dagster does not know of: run again, they change nothing", behind)


@contextmanager
def _elsewhere(url: str, table: str) -> Iterator[Connection | None]:
    """Another database of the house, to read; None where the table is not there yet."""
    engine = create_engine(url, poolclass=NullPool, hide_parameters=True)
    with engine.connect() as connection:
        connection.execute(text("SET TRANSACTION READ ONLY"))
        there = connection.scalar(text("SELECT to_regclass(:table)"), {"table": table}) is not None
        yield connection if there else None
        connection.rollback()


def _signing(keys: Path, checkpoints: str) -> Iterator[str]:
    from cryptography.hazmat.primitives import serialization

    private = keys / "audit_ed25519.pem"
    try:
        public = content_at(checkpoints, "checkpoints.pub.pem")
    except FileNotFoundError:
        return
    try:
        own = serialization.load_pem_private_key(private.read_bytes(), password=None).public_key()
        spelled = own.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        if spelled.strip() != public.strip():
            yield f"{private.name} is not the key that signed the checkpoints, nor the models of that house"
    except FileNotFoundError:
        yield f"{private.name}: neither checkpoints nor models can be verified by it"
    except ValueError:
        yield f"{private.name} is no key"
