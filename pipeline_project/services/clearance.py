"""The verdicts of a night's blocking checks: left by the checks, read by whoever decides or releases."""

from collections.abc import Iterable
from dataclasses import dataclass

from pipeline_project.domain.core.stored_tables import StoredTable, contents_of
from pipeline_project.domain.deciding.clearance import (
    ALWAYS,
    CODE,
    LANDED_CHECK,
    SPEC,
    Basis,
    CheckVerdict,
    Step,
    clear,
)
from pipeline_project.ports.lake import Lake
from pipeline_project.ports.ledger import Ledger
from pipeline_project.services.aggregating import AGGREGATES
from pipeline_project.services.as_of import never_written
from pipeline_project.spec import WorkflowSpec


@dataclass(frozen=True)
class CheckFinding:
    """What a blocking check found, in words that quote no value of a case."""

    check: str
    passed: bool
    words: str


def leave_verdict(
    spec: WorkflowSpec, ledger: Ledger, night: str, run_id: str, finding: CheckFinding, looked_at: Iterable[StoredTable]
) -> None:
    """Keeps what a blocking check found, with the tables that it looked at, each of this one night."""
    judged = {SPEC: spec.spec_hash, **contents_of(looked_at)}
    ledger.record_verdict(spec.name, night, CheckVerdict(finding.check, finding.passed, finding.words, judged), run_id)


def cleared(
    spec: WorkflowSpec, lake: Lake, ledger: Ledger, night: str, step: Step, used: Iterable[StoredTable] = ()
) -> Basis:
    """The basis of a night's decisions or of its release, once every check has passed on it.

    Args:
        used: tables of the night that were read already; of the others it counts how they lie in the lake now.

    Raises:
        NightBlocked: a check has not passed on these tables, or was not made on them by this version of the code.
        NightMissing: one of them was never written.
    """
    read = contents_of(used)
    judged = {SPEC: spec.spec_hash, CODE: ledger.code}
    for asset_name in _tables(spec, step):
        content = read.get(asset_name) or lake.content(spec.name, asset_name, night)
        if content is None:
            raise never_written(spec, asset_name, night)
        judged[asset_name] = content
    declared = {"embeddings_contract": spec.encodes, LANDED_CHECK: spec.source.expect.terms.blocks}
    checks = (*ALWAYS[step], *(check for check, there in declared.items() if there))
    basis = Basis(judged, checks)
    clear(spec.name, night, step, ledger.verdicts(spec.name, night), basis)
    return basis


def _tables(spec: WorkflowSpec, step: Step) -> list[str]:
    """Everything that a night's decisions rest on, in the order in which it is made."""
    return [
        *("arrivals", "cases", "quarantine"),
        *(["embeddings"] if spec.encodes else []),
        *(["clusters"] if spec.clusters else []),
        *([AGGREGATES] if spec.aggregates else []),
        "scores",
        *(["decisions"] if step == "release" else []),
    ]
