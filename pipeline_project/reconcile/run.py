"""Every link of every workflow, in the order in which a row goes through them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from sqlalchemy import Connection

from pipeline_project.reconcile.ages import check_ages, check_keys
from pipeline_project.reconcile.chain import check_chain, check_facts, facts
from pipeline_project.reconcile.rows import WorkflowTables, check_lines, check_rows
from pipeline_project.reconcile.scope import DeclaredWorkflow, Link, Span, Where
from pipeline_project.reconcile.stores import Rows, keys_of_all, lake_rows, ledger_of, snapshot
from pipeline_project.reconcile.work import (
    check_actions,
    check_book,
    check_decisions,
    check_deliveries,
    check_releases,
    check_tasks,
)

_COLUMNS = {
    "arrivals": ("night", "file", "file_sha256", "line", "row_sha256"),
    "cases": ("night", "case_id", "row_sha256"),
    "quarantine": ("night", "file", "line", "row_sha256"),
    "decisions": ("night", "case_id", "option"),
}


def reconcile(where: Where, workflows: Sequence[DeclaredWorkflow], span: Span) -> Iterator[Link]:
    """The links of each workflow, and of the chain; all of the ledger is seen at one moment.

    Raises:
        sqlalchemy.exc.DBAPIError: the ledger cannot be read.
    """
    with snapshot(where.ledger_url) as connection:
        yield from links(connection, where, workflows, span)


def links(connection: Connection, where: Where, workflows: Sequence[DeclaredWorkflow], span: Span) -> Iterator[Link]:
    """The same over a connection that is there already."""
    keys, chained = keys_of_all(connection), facts(connection)
    for declared in workflows:
        ledger = ledger_of(connection, declared.name, span)
        yield from _inside(declared, where, span, ledger)
        yield check_deliveries(declared, span, ledger, keys)
        if any(place.kind == "shop" for place in declared.places.values()):
            yield check_book(declared.name, declared.places, span, ledger, where.book, keys)
        yield check_facts(Link(declared.name, "ledger ↔ chain"), span, ledger, chained.get(declared.name, {}))
        yield check_ages(connection, where, declared, span)
    yield from of_the_house(connection, where)


def of_the_house(connection: Connection, where: Where) -> Iterator[Link]:
    """The links that belong to no workflow."""
    yield check_chain(connection, where.checkpoints)
    if where.keys is not None:
        yield check_keys(connection, where.keys, where.checkpoints)


def parts(where: Where, workflows: Sequence[DeclaredWorkflow]) -> Iterator[Link]:
    """Whether the stores are of one age, and nothing of what they hold: what is asked after a restore.

    Raises:
        sqlalchemy.exc.DBAPIError: a database cannot be read.
    """
    with snapshot(where.ledger_url) as connection:
        for declared in workflows:
            yield check_ages(connection, where, declared, Span())
        yield from of_the_house(connection, where)


def one_night(where: Where, declared: DeclaredWorkflow, night: str) -> list[Link]:
    """What a night by itself can be asked once it is released: from its lines to its actions.

    What has arrived outside and the chain are left to the whole, which grows with history.
    """
    span = Span(night, night)
    with snapshot(where.ledger_url) as connection:
        return list(_inside(declared, where, span, ledger_of(connection, declared.name, span)))


def _inside(declared: DeclaredWorkflow, where: Where, span: Span, ledger: dict[str, Rows]) -> Iterator[Link]:
    """Lake and ledger. A table of the lake that cannot be read is a break of its own."""
    tables: dict[str, tuple[Rows, set[str]]] = {}
    unreadable = Link(declared.name, "the lake's own files")
    for asset_name, columns in _COLUMNS.items():
        # whether a row came before hangs on all earlier cases
        wanted = Span(None, span.last) if asset_name == "cases" else span
        try:
            tables[asset_name] = lake_rows(where.lake_url, declared.name, asset_name, columns, wanted)
        except Exception as error:  # noqa: BLE001 - whatever a damaged file makes a library raise
            tables[asset_name] = ([], set())
            unreadable.expect_none(f"{asset_name} cannot be read", [type(error).__name__])
    try:
        earlier = _under_earlier_names(declared, where)
    except Exception as error:  # noqa: BLE001 - as above
        earlier = set()
        unreadable.expect_none("cases of an earlier name cannot be read", [type(error).__name__])
    if unreadable.breaks:
        yield unreadable
    in_lake, _ = tables.pop("decisions")
    lake = WorkflowTables.of(tables)
    posted = {row["night"]: int(row["rows"]) for row in ledger["posted"]}
    yield check_lines(declared, where, span, lake, posted)
    yield check_rows(declared.name, span, lake, earlier)
    yield check_decisions(declared, span, lake, in_lake, ledger)
    yield check_tasks(declared.name, span, ledger)
    yield check_actions(declared.name, span, ledger)
    yield check_releases(declared.name, span, ledger)


def _under_earlier_names(declared: DeclaredWorkflow, where: Where) -> set[str]:
    """Contents of the cases that the workflow has under its earlier names; a table that is gone has none."""
    whole, digests = Span(None, None), set[str]()
    for name in declared.earlier_names:
        rows, _ = lake_rows(where.lake_url, name, "cases", _COLUMNS["cases"], whole)
        digests |= {row["row_sha256"] for row in rows}
    return digests


def document(links: Sequence[Link]) -> Mapping[str, object]:
    """What was found, for scripts."""
    from dataclasses import asdict

    documents = [{**asdict(link), "holds": link.holds} for link in links]
    return {"holds": all(link.holds for link in links), "links": documents}
