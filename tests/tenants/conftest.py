"""A house with two tenants on the tests' server, as its operator makes them."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import NullPool, create_engine, make_url, text

from pipeline_project.container.owner import migrated
from pipeline_project.settings import Settings
from resources.postgres.databases import Databases, server_url
from resources.postgres.tenants import owner_role, service_roles, tenant_databases
from tests.integration.shop import spec, write_spec

#: Both have a workflow of this name.
SAME = "claims"


class TenantHouse:
    """Two tenants, whose names are nobody else's on the server."""

    def __init__(self, server: str, home: Path) -> None:
        mark = uuid.uuid4().hex[:8]
        self.names: tuple[str, ...] = (f"a{mark}", f"b{mark}")
        self.environ = {
            "PIPELINE_HOME": str(home / "home"),
            "PIPELINE_POSTGRES_URL": server,
            "PIPELINE_TENANTS": str(home / "tenants"),
        }
        for name in self.names:
            (home / "tenants" / name).mkdir(parents=True)
            write_spec(home / "tenants" / name, spec(SAME))

    @property
    def house(self) -> Settings:
        return Settings.from_environ(self.environ)

    def settings(self, name: str) -> Settings:
        return Settings.from_environ({**self.environ, "PIPELINE_TENANT": name})

    def databases(self, name: str) -> Databases:
        return migrated(self.settings(name))[0]

    def drop(self) -> None:
        server = server_url(self.house)
        engine = create_engine(server, poolclass=NullPool, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            for name in self.names:
                for database in tenant_databases(name):
                    connection.execute(text(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)"))
                self._drop_roles(name)

    def _drop_roles(self, name: str) -> None:
        dagster = make_url(server_url(self.house)).set(database="pipeline_dagster")
        engine = create_engine(dagster, poolclass=NullPool, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            for role in (*service_roles(name), owner_role(name)):
                if connection.scalar(text("SELECT count(*) FROM pg_roles WHERE rolname = :role"), {"role": role}):
                    connection.execute(text(f"DROP OWNED BY {role}"))
                    connection.execute(text(f"DROP ROLE {role}"))


@pytest.fixture(scope="module")
def tenants(postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TenantHouse]:
    made = TenantHouse(postgres_server, tmp_path_factory.mktemp("tenants"))
    # the house's own roles and tables stand beside the tenants'
    migrated(made.house)
    for name in made.names:
        made.databases(name)
    yield made
    made.drop()
