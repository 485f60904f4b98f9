"""One tenant's backup: its ledger, registry, lake and keys, into another tenant; everybody else stays as they are."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from sqlalchemy import make_url, text

from pipeline_project.container.moving import house_of, place_of
from pipeline_project.domain.core.errors import RestoreRefused
from pipeline_project.operations.moving.backup import back_up
from pipeline_project.operations.moving.restore import put_back
from pipeline_project.operations.reconciliation import declared, where
from pipeline_project.spec.load import load_all
from resources.lake.lake import DeltaLake
from resources.ledger.audit.checkpoints import Checkpoints
from resources.ledger.nights.ledger import PostgresLedger
from resources.postgres.databases import begun, engine_of, role_of
from tests.tenants.conftest import SAME, TenantHouse

NIGHT = "2025-03-04"


def quiet(part: str) -> None:
    """Nobody watches."""


def fill(tenants: TenantHouse, name: str) -> None:
    own, ledger = tenants.settings(name), PostgresLedger(tenants.databases(name).ledger_url)
    ledger.raise_alert(SAME, "kind", "key", f"of {name}", "team:x", "pipeline status")
    DeltaLake(own.lake_url).write_night(SAME, "cases", NIGHT, pa.table({"case_id": [f"of {name}"]}))
    Checkpoints(ledger.url, own.checkpoints, own.keys).checkpoint()


def alerts(tenants: TenantHouse, name: str) -> list[str]:
    return [alert.message for alert in PostgresLedger(tenants.databases(name).ledger_url).open_alerts()]


def test_it_comes_back_alone_and_leaves_the_others_alone(tenants: TenantHouse, tmp_path: Path) -> None:
    one, other = tenants.names[:2]
    for name in (one, other):
        fill(tenants, name)
    manifest = back_up(house_of(tenants.settings(one)), str(tmp_path / "backup"), tmp_path / "vault", quiet)
    assert sorted(path for path in manifest.files if path.startswith("databases/")) == [
        "databases/ledger.dump", "databases/mlflow.dump",
    ]  # fmt: skip
    assert sorted(manifest.lake) == [f"{SAME}/cases"]
    content = b"".join(file.read_bytes() for file in (tmp_path / "backup").rglob("*") if file.is_file())
    assert f"of {other}".encode() not in content

    place = place_of(tenants.settings(other))
    with pytest.raises(RestoreRefused, match=f"pipeline_ledger_{other} is not empty|{other}.* is not empty"):
        put_back(str(tmp_path / "backup"), place, None, False, quiet)
    assert alerts(tenants, other) == [f"of {other}"]

    third = f"r{one[1:]}"
    tenants.names = (*tenants.names, third)
    folder = tenants.house.tenants
    assert folder is not None
    (folder / third).mkdir()
    tenants.settings(third).home.mkdir(parents=True)
    done = put_back(str(tmp_path / "backup"), place_of(tenants.settings(third)), tmp_path / "vault", False, quiet)
    assert (done.databases, done.lacking_keys) == (("ledger", "mlflow"), ())
    assert alerts(tenants, third) == [f"of {one}"] and alerts(tenants, other) == [f"of {other}"]
    restored = DeltaLake(tenants.settings(third).lake_url).read_night(SAME, "cases", NIGHT)
    assert restored is not None and restored["case_id"].to_pylist() == [f"of {one}"]
    # what was restored is the third one's: its roles may what they may, and those of the first may nothing there
    with begun(engine_of(tenants.databases(third).ledger_url)) as connection:
        query = text("SELECT has_table_privilege(:role, 'public.decisions', 'SELECT')")
        assert connection.scalar(query, {"role": role_of("pipeline_nights", third)})
        assert not connection.scalar(query, {"role": role_of("pipeline_nights", one)})


def test_the_checker_looks_into_the_tenants_own_stores(tenants: TenantHouse) -> None:
    name = tenants.names[0]
    own = tenants.settings(name)
    places = where(own)
    assert make_url(places.ledger_url).database == f"pipeline_ledger_{name}"
    assert (places.lake_url, make_url(str(places.dagster_url)).database) == (own.lake_url, "pipeline_dagster")
    (spec,) = load_all(own.workflow_folders, name).specs.values()
    assert declared(spec, own).in_dagster == f"{name.upper()}__{SAME}"
