"""One tenant's roles before another one's tables: each table, each verb, refused by the server and not by us."""

from __future__ import annotations

import re
import traceback

import pytest
from sqlalchemy import NullPool, create_engine, make_url, text
from sqlalchemy.exc import DBAPIError

from pipeline_project.container.owner import let_sign_in
from pipeline_project.domain.core.errors import DatabaseUnreachable, RolesMissing, SettingInvalid
from pipeline_project.settings import Settings
from resources.ledger.audit.trail import AuditTrail
from resources.ledger.nights.ledger import PostgresLedger
from resources.ledger.roles import GRANTS, ROLES, VERBS
from resources.ledger.schema import metadata
from resources.postgres.databases import LEDGER, MLFLOW, begun, databases, engine_of, role_of, url_as
from resources.postgres.locks import CHAIN, MIGRATION, turn
from resources.postgres.tenants import owner_role, service_roles, tenant_databases
from tests.resources.ledger.test_roles import NOT_ALLOWED, refused, statement
from tests.tenants.conftest import TenantHouse

TABLES = sorted(metadata.tables)


def plainly(url: str) -> str:
    """The URL without the role that its connections take: as the server's user, who may take any."""
    parsed = make_url(url)
    return parsed.set(query={k: v for k, v in parsed.query.items() if k != "options"}).render_as_string(False)


@pytest.mark.parametrize("table", TABLES)
def test_no_role_of_a_tenant_does_anything_with_a_table_of_another(tenants: TenantHouse, table: str) -> None:
    one, other = tenants.names[:2]
    wrong = []
    # a superuser's session in the other one's database: what is left of its rights is the role's alone
    with engine_of(plainly(tenants.databases(other).ledger_url)).connect() as connection, connection.begin():
        for role in (owner_role(one), *service_roles(one), *ROLES):
            connection.execute(text(f"SET ROLE {role}"))
            for letter, verb in VERBS.items():
                # in full, or a table that the role cannot even see would be none at all
                tried = re.sub(
                    rf"(FROM|INTO|UPDATE|TRUNCATE) {table}", rf"\1 public.{table}", statement(table, letter, ROLES[0])
                )
                if (code := refused(connection, tried)) != NOT_ALLOWED:
                    wrong.append((role, verb, code))
    assert wrong == []


@pytest.mark.parametrize("service", ROLES)
def test_a_tenants_own_roles_do_what_the_houses_do(tenants: TenantHouse, service: str) -> None:
    name, wrong = tenants.names[0], []
    with engine_of(url_as(tenants.databases(name).ledger_url, service)).connect() as connection, connection.begin():
        assert connection.scalar(text("SELECT current_user")) == role_of(service, name)
        for table in TABLES:
            for letter in VERBS:
                granted = letter in GRANTS[table].of(service)
                if refused(connection, statement(table, letter, service)) != (None if granted else NOT_ALLOWED):
                    wrong.append((table, letter))
    assert wrong == []


def test_a_session_of_one_cannot_name_a_table_of_another(tenants: TenantHouse) -> None:
    one, other = tenants.names[:2]
    database = tenant_databases(other)[0]
    with engine_of(tenants.databases(one).ledger_url).connect() as connection:
        assert connection.scalar(text("SELECT current_user")) == owner_role(one)
        assert refused(connection, f"SELECT * FROM {database}.public.decisions") == "0A000"


def test_who_signs_in_as_a_tenant_enters_its_databases_and_dagsters_and_no_others(tenants: TenantHouse) -> None:
    one, other = tenants.names[:2]
    settings = tenants.settings(one)
    role = let_sign_in(settings, "a'b%c:d")
    own = make_url(tenants.environ["PIPELINE_POSTGRES_URL"]).set(username=role, password="a'b%c:d")

    def enters(database: str) -> bool:
        engine = create_engine(own.set(drivername="postgresql+psycopg2", database=database), poolclass=NullPool)
        try:
            with engine.connect():
                return True
        except DBAPIError:
            return False

    assert [enters(name) for name in tenant_databases(one)] == [True, True]
    assert [enters(name) for name in tenant_databases(other)] == [False, False]
    # nor the house's, which let every login in before; the house itself goes on
    house = databases(Settings.from_environ(tenants.environ))
    assert [enters(name) for name in (LEDGER, MLFLOW)] == [False, False]
    for url in (house.ledger_url, house.mlflow_url):
        with begun(engine_of(url)) as connection:
            assert connection.scalar(text("SELECT 1")) == 1
    # the tenant's processes work by that login alone, and nothing has to be made for them
    environ = {**tenants.environ, "PIPELINE_TENANT": one}
    environ["PIPELINE_POSTGRES_URL"] = own.render_as_string(False)
    opened = databases(Settings.from_environ(environ))
    with begun(engine_of(url_as(opened.ledger_url, ROLES[0]))) as connection:
        assert connection.scalar(text("SELECT session_user")) == role
        assert refused(connection, f"SET ROLE {owner_role(other)}") == NOT_ALLOWED
    assert PostgresLedger(opened.ledger_url).open_alerts() == []


def test_one_tenant_waits_for_no_lock_of_another(tenants: TenantHouse) -> None:
    """A chain, a migration and the turn of a workflow of the same name, each held by one of them."""
    one, other = (tenants.databases(name).ledger_url for name in tenants.names[:2])
    with engine_of(one).connect() as holds, engine_of(other).connect() as takes:
        for lock in (CHAIN, MIGRATION, turn("claims")):
            assert lock.try_hold(holds) and lock.try_hold(takes)
            with engine_of(one).connect() as third:
                assert not lock.try_hold(third)


def test_the_chain_of_each_holds_what_it_decided_and_verifies_by_itself(tenants: TenantHouse) -> None:
    one, other = (PostgresLedger(tenants.databases(name).ledger_url) for name in tenants.names[:2])
    one.raise_alert("claims", "kind", "key", "only here", "team:x", "pipeline status")
    assert [alert.message for alert in one.open_alerts()] == ["only here"] and other.open_alerts() == []
    for ledger in (one, other):
        checked = AuditTrail(ledger.url).verify([])
        assert checked.verdict.findings == () and checked.tables != ()


def test_connections_are_limited_where_the_operator_says_so(tenants: TenantHouse) -> None:
    name = tenants.names[1]
    terms = tenants.house.tenants
    assert terms is not None
    (terms / "tenants.yaml").write_text(f"{name}: {{connections: 3}}\n")
    limit = text("SELECT datconnlimit FROM pg_database WHERE datname = :name")
    url = tenants.databases(name).ledger_url
    with engine_of(url).connect() as connection:
        assert connection.scalar(limit, {"name": tenant_databases(name)[0]}) == 3
    (terms / "tenants.yaml").unlink()
    tenants.databases(name)
    with engine_of(url).connect() as connection:
        assert connection.scalar(limit, {"name": tenant_databases(name)[0]}) == -1


def test_a_user_who_may_make_nothing_is_given_the_statements(tenants: TenantHouse) -> None:
    """Carried out by somebody who may, they are all that is needed."""
    server = tenants.environ["PIPELINE_POSTGRES_URL"]
    mark = tenants.names[0][1:]
    user, name = f"u{mark}", f"c{mark}"
    root = tenants.house.tenants
    assert root is not None
    (root / name).mkdir()
    terms = root / "tenants.yaml"
    terms.write_text(f"{name}: {{connections: 8}}\n")
    limit = text("SELECT DISTINCT datconnlimit FROM pg_database WHERE datname::text = ANY(:names)")
    names = {"names": [*tenant_databases(name)]}
    poor = make_url(server).set(username=user, password="x").render_as_string(False)
    chosen = Settings.from_environ({**tenants.environ, "PIPELINE_TENANT": name, "PIPELINE_POSTGRES_URL": poor})
    engine = create_engine(server, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE ROLE {user} LOGIN PASSWORD 'x'"))
    try:
        with pytest.raises(RolesMissing, match=f"CREATE ROLE {owner_role(name)} NOLOGIN") as error:
            databases(chosen)
        with engine.connect() as connection:
            for one in str(error.value).partition("to run: ")[2].split("; "):
                connection.execute(text(one))
            assert connection.scalars(limit, names).all() == [8]
        opened = databases(chosen)
        with begun(engine_of(opened.ledger_url)) as connection:
            assert connection.scalar(text("SELECT current_user")) == owner_role(name)
        # a limit that changes needs no right to make roles, only the owner's; without it one statement is asked for
        terms.write_text(f"{name}: {{connections: 9}}\n")
        databases(chosen)
        with engine.connect() as connection:
            assert connection.scalars(limit, names).all() == [9]
            connection.execute(text(f"REVOKE {owner_role(name)} FROM {user}"))
        terms.unlink()
        with pytest.raises(
            RolesMissing, match=f"to run: ALTER DATABASE {names['names'][0]} CONNECTION LIMIT -1;"
        ) as no:
            databases(chosen)
        assert "CREATE" not in str(no.value)
        with pytest.raises(RolesMissing, match=f"may not give {owner_role(name)} a password") as kept:
            let_sign_in(chosen, mark * 2)
        assert mark * 2 not in "".join(traceback.format_exception(kept.value))
    finally:
        terms.unlink(missing_ok=True)
        with engine.connect() as connection:
            for database in tenant_databases(name):
                connection.execute(text(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)"))
            connection.execute(text(f"DROP OWNED BY {user}; DROP ROLE {user}"))
        tenants._drop_roles(name)
        (root / name).rmdir()


def test_a_tenant_that_is_not_there_is_not_made_by_naming_it(tenants: TenantHouse) -> None:
    with pytest.raises(SettingInvalid, match=r"there is no tenant nobody in PIPELINE_TENANTS .*pipeline tenants add"):
        tenants.settings("nobody")
    with pytest.raises(DatabaseUnreachable):
        url = tenants.databases(tenants.names[0]).ledger_url
        with begun(engine_of(url.replace(tenants.names[0], "nobody"))) as connection:
            connection.execute(text("SELECT 1"))
