"""Two versions of the code at one ledger: the older one notices that the newer one migrated it, and does no more."""

from __future__ import annotations

import pytest
from sqlalchemy import Connection, NullPool, create_engine, text

from benchmarks.passed import passed
from pipeline_project.container.owner import OwnerStores
from pipeline_project.domain.core.errors import DatabaseUnreachable, LedgerMissing, LedgerNewer
from pipeline_project.domain.delivery.backoff import DeliveryResult, DeliveryStatus
from pipeline_project.domain.delivery.claimed_action import ClaimedAction
from pipeline_project.operations.dispatch import run_workers
from pipeline_project.settings import Settings
from resources.ledger import migrate, revision
from resources.ledger.nights.ledger import PostgresLedger
from resources.ledger.roles import ROLES
from resources.postgres.databases import Databases, engine_of, url_as
from tests.resources.ledger.outbox.outbox_desk import Desk, Shelf
from tests.resources.ledger.test_decisions import FLOW, NIGHT, decision

NEWER = "9999"


def migrated_to(url: str, name: str) -> None:
    """As a newer version of the code leaves it, whose tables differ in nothing that this one uses."""
    with engine_of(url).begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :name"), {"name": name})


def test_an_older_process_notices_a_newer_ledger_soon_and_writes_nothing_more(
    own_ledger: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = PostgresLedger(own_ledger)
    ledger.record_workflow(FLOW, "spec", {"name": FLOW})
    migrated_to(own_ledger, NEWER)
    monkeypatch.setattr(revision, "LOOK_SECONDS", 0.0)
    with pytest.raises(LedgerNewer, match=rf"at revision {NEWER} and this process has {migrate.head()} .* install"):
        ledger.record_workflow(FLOW, "other", {"name": FLOW})
    migrated_to(own_ledger, migrate.head())
    assert ledger.workflow_spec("other") is None


def test_a_night_that_an_older_process_began_is_not_decided_by_it_however_lately_it_looked(own_ledger: str) -> None:
    ledger = PostgresLedger(own_ledger)
    ledger.record_workflow(FLOW, "spec", {"name": FLOW})
    basis, attempt = passed(ledger, FLOW, NIGHT), ledger.begin_attempt(FLOW, NIGHT, "run")
    migrated_to(own_ledger, NEWER)
    with pytest.raises(LedgerNewer):
        ledger.record_decisions(FLOW, NIGHT, attempt, [decision("a")], basis=basis)
    migrated_to(own_ledger, migrate.head())
    assert ledger.decided_cases(FLOW, ["a"]) == set()


def test_an_older_program_takes_no_newer_ledger_back_and_a_newer_one_asks_for_its_migration(
    own_ledger: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrated_to(own_ledger, NEWER)
    with pytest.raises(LedgerNewer):
        migrate.upgrade(own_ledger)
    migrated_to(own_ledger, "0001")
    monkeypatch.setattr(revision, "LOOK_SECONDS", 0.0)
    with pytest.raises(LedgerMissing, match=rf"at revision 0001 .* needs {migrate.head()}; run `pipeline setup`"):
        PostgresLedger(own_ledger).open_alerts()


@pytest.mark.parametrize("role", ROLES)
def test_every_role_may_look(own_ledger: str, role: str) -> None:
    with engine_of(url_as(own_ledger, role)).connect() as connection:
        revision.refuse_other(connection)


def test_services_hear_of_it_and_a_ledger_that_is_away_is_not_newer(
    own_ledger: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stores = OwnerStores(Settings.from_environ({}), Databases("", "", own_ledger))
    assert stores.newer_ledger() is None
    migrated_to(own_ledger, NEWER)
    monkeypatch.setattr(revision, "LOOK_SECONDS", 0.0)
    assert NEWER in str(stores.newer_ledger())
    away = Databases("", "", "postgresql+psycopg2://clerk@127.0.0.1:1/x")
    assert OwnerStores(Settings.from_environ({}), away).newer_ledger() is None


def test_a_dispatcher_writes_down_what_it_has_sent_claims_nothing_more_and_ends(
    own_ledger: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk(PostgresLedger(own_ledger), own_ledger)
    desk.ready("A", "B")
    monkeypatch.setattr(revision, "LOOK_SECONDS", 0.0)

    def migrates(_: ClaimedAction) -> DeliveryResult:
        migrated_to(own_ledger, NEWER)
        return DeliveryResult(DeliveryStatus.DONE)

    shelf = Shelf(migrates)
    with pytest.raises(LedgerNewer):
        run_workers([desk.dispatcher(shelf, batch=1)], drain=False)
    migrated_to(own_ledger, migrate.head())
    assert len(shelf.sent) == desk.count("done") == 1
    assert desk.count("sending") == 0


def test_a_server_that_goes_away_at_the_look_is_unreachable_and_the_next_connection_is_a_new_one(
    own_ledger: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = PostgresLedger(own_ledger)
    assert ledger.open_alerts() == []
    monkeypatch.setattr(revision, "LOOK_SECONDS", 0.0)
    look = revision.refuse_other

    def cut_off(connection: Connection) -> None:
        """The pool has seen it alive; it goes between that and the look."""
        with create_engine(engine_of(own_ledger).url, poolclass=NullPool).connect() as other:
            other.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            )
        look(connection)

    monkeypatch.setattr(revision, "refuse_other", cut_off)
    with pytest.raises(DatabaseUnreachable):
        ledger.open_alerts()
    monkeypatch.setattr(revision, "refuse_other", look)
    assert ledger.open_alerts() == []
