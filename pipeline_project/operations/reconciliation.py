"""Hands the independent checker its places and what a workflow's file says, in plain terms of its own."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from pipeline_project.domain.core.errors import DatabaseUnreachable, SourceUnreadable
from pipeline_project.reconcile.scope import ActionDestination, DeclaredWorkflow, Link, SourceFiles, Where
from pipeline_project.settings import Settings
from pipeline_project.spec import WorkflowSpec
from pipeline_project.spec.actions import FileDestination, HttpDestination
from pipeline_project.spec.source import FilesSource
from resources.sources.places import environment, expand, location, place

_LOCAL = ("127.0.0.1", "localhost", "::1")


def where(chosen: Settings, book: Path | None = None) -> Where:
    """Where the checker finds everything; starts the embedded server, and nothing else.

    Raises:
        DatabaseUnreachable: the server does not answer, or there is no ledger yet.
    """
    from sqlalchemy import make_url

    from resources.postgres.databases import reach, server_url, urls_at

    own = urls_at(make_url(server_url(chosen)), chosen.tenant)
    # says in the project's own words what is wrong with the server
    reach(own.ledger_url)
    shop_book = book or chosen.home / "shop" / "book.jsonl"
    return Where(
        own.ledger_url, chosen.lake_url, chosen.repairs, shop_book, chosen.checkpoints, own.mlflow_url,
        own.dagster_url, chosen.keys,
    )  # fmt: skip


def declared(spec: WorkflowSpec, chosen: Settings, environ: Mapping[str, str] | None = None) -> DeclaredWorkflow:
    """What a workflow's file says of its source, its nights and its destinations."""
    variables = environment(chosen, os.environ if environ is None else environ)
    places = spec.actions.destinations if spec.actions else {}
    return DeclaredWorkflow(
        spec.name,
        spec.nights.first_decided,
        _source(spec, variables),
        {name: _place(part, spec, variables) for name, part in places.items()},
        tuple(name for name in spec.renamed_from if name != spec.name),
        spec.dagster_name,
    )


def _source(spec: WorkflowSpec, variables: Mapping[str, str]) -> SourceFiles:
    columns = frozenset(column for field in spec.case_schema.fields for column in field.columns)
    own = spec.source
    try:
        if isinstance(own, FilesSource):
            folder = location(own.folder, spec, variables)
            how = (own.format, own.delimiter, own.encoding, columns, len(own.header), own.skip_lines, own.sheet)
            return SourceFiles(folder, own.pattern, *how)
    except SourceUnreadable:
        # a variable that is not set here: its nights fail with a message that names it, and nothing was taken in
        pass
    return SourceFiles()


def _place(part: object, spec: WorkflowSpec, variables: Mapping[str, str]) -> ActionDestination:
    try:
        if isinstance(part, FileDestination):
            return ActionDestination("folder", place(part.folder, spec, variables))
        if isinstance(part, HttpDestination) and urlsplit(expand(part.url, variables)).hostname in _LOCAL:
            return ActionDestination("shop")
    except SourceUnreadable:
        # without its variable the dispatcher leaves it alone as well
        pass
    return ActionDestination("elsewhere")


class LinesNightChecker:
    """The independent checker over one night, as an asset check asks it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def night(self, spec: WorkflowSpec, night: str) -> list[Link]:
        """The night's links, from its lines to its actions.

        Raises:
            DatabaseUnreachable: the ledger cannot be read, or not to the end.
        """
        from sqlalchemy.exc import DBAPIError

        from pipeline_project.reconcile.run import one_night

        declaration = declared(spec, self._settings)
        try:
            return one_night(where(self._settings), declaration, night)
        except DBAPIError as error:
            raise DatabaseUnreachable(
                f"the ledger could not be read to the end ({type(error.orig).__name__}): see that it runs and "
                "that `pipeline doctor` finds its schema whole"
            ) from error
