"""What `forget`, `retention`, `hold` and `keys` work with: the keyring, the sealed lake and what erases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline_project.commands.shared.app_context import AppContext, prepare, workflows
from pipeline_project.domain.core.schema import CASE_ID, NIGHT
from pipeline_project.domain.privacy.fields import PersonalFields

if TYPE_CHECKING:
    from pipeline_project.operations.retention import Retaining
    from pipeline_project.spec import WorkflowSpec
    from resources.lake.sealed import SealedLake
    from resources.ledger.privacy.forgetting import Forgetting
    from resources.ledger.privacy.keyring import PostgresKeyring

_FOR_EVER = "9999-12-31"


@dataclass(frozen=True)
class Privacy:
    """What these commands work with, as the ledger's owner."""

    context: AppContext
    keyring: PostgresKeyring
    forgetting: Forgetting
    lake: SealedLake

    def retaining(self, spec: WorkflowSpec) -> Retaining:
        return self.context.stores.retaining(self.lake, spec)

    def cases_of(self, pseudonym: str) -> dict[str, list[tuple[str, str]]]:
        """Night and id of a subject's cases, by workflow, in every workflow with personal fields."""
        by_workflow: dict[str, list[tuple[str, str]]] = {}
        for name, spec in workflows().specs.items():
            fields = PersonalFields.of(spec.case_schema)
            if fields is None or fields.subject is None:
                continue
            cases = self.lake.read_span(name, "cases", None, _FOR_EVER, [NIGHT, CASE_ID, fields.subject])
            rows = [] if cases is None else cases.to_pylist()
            if theirs := [(row[NIGHT], row[CASE_ID]) for row in rows if row[fields.subject] == pseudonym]:
                by_workflow[name] = theirs
        return by_workflow


def open_privacy() -> Privacy:
    """Opens them over a prepared home."""
    from pipeline_project.container.privacy import open_sealed_lake

    context = prepare()
    stores = context.stores
    return Privacy(context, stores.keyring, stores.forgetting, open_sealed_lake(context.settings))
