"""What stands already when a night's rows are admitted: cases of other nights, other names and other ids."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from pipeline_project.domain.core.schema import CASE_ID, CONTENT, NIGHT
from pipeline_project.domain.intake.contents import hits

TWINS_ADVICE = "take the row out, or say in the spec's `twins.real` why such twins are real"

#: The hashes of what each row says: as this workflow reads it, then as others do that may have met it.
RowHashes = Sequence[Collection[str]]


@dataclass(frozen=True)
class CasePlace:
    """Where a case stands: of which workflow, in which night, under which id."""

    workflow: str
    night: str
    case_id: str


@dataclass(frozen=True)
class KnownCases:
    """What may not be decided once more.

    Attributes:
        told: as RowHashes, aligned with the night's rows; empty where nothing is to be compared.
        elsewhere: content -> the cases of other nights, or of another workflow, that say it.
        gone: content -> a case of this very night that was decided and whose id does not come any more.
        decided: ids of the night that were decided: they keep their decision, whoever says the same.
        before: id -> night, of cases that were decided under an earlier name of the workflow.
        rows: `row_sha256` of such cases.
        workflow: whose night it is.
        real: the spec says that twins within the workflow are real.
    """

    told: RowHashes = ()
    elsewhere: Mapping[str, Sequence[CasePlace]] = field(default_factory=dict)
    gone: Mapping[str, CasePlace] = field(default_factory=dict)
    decided: frozenset[str] = frozenset()
    before: dict[str, str] = field(default_factory=dict)
    rows: frozenset[str] = frozenset()
    workflow: str = ""
    real: bool = False

    def twin(self, row: int, case_id: str) -> str | None:
        """Why a row may not become a case: it says what another one says. The other one's id stands in quotes."""
        if not self.told or case_id in self.decided:
            return None
        for content in self.told[row]:
            if content in self.gone:
                was = self.gone[content].case_id
                return f"case_id: {was!r} was decided in this night and says the same; its id may not change"
            for place in self.elsewhere.get(content, ()):
                own = place.workflow == self.workflow
                if own and (self.real or place.case_id == case_id):
                    continue
                where = f"of night {place.night}" if own else f"of workflow {place.workflow}, night {place.night},"
                advice = TWINS_ADVICE if own else "a case is decided once, whatever its workflow is called"
                return f"case_id: {place.case_id!r} {where} says the same under another id; {advice}"
        return None


NOTHING_STANDS = KnownCases()


def places(
    workflow: str, history: pa.Table | None, wanted: Collection[str], but: str | None = None
) -> dict[str, list[CasePlace]]:
    """Content -> where it stands in a workflow's cases, of the contents wanted.

    Args:
        history: night, case_id and content_sha256 of the cases, or None.
        but: a night that is left out.
    """
    by_content: dict[str, list[CasePlace]] = {}
    if history is None or not wanted:
        return by_content
    for row in hits(history, CONTENT, list(wanted)).select([NIGHT, CASE_ID, CONTENT]).to_pylist():
        if row[NIGHT] != but:
            by_content.setdefault(row[CONTENT], []).append(CasePlace(workflow, row[NIGHT], row[CASE_ID]))
    return by_content


def merged(parts: Iterable[Mapping[str, Sequence[CasePlace]]]) -> dict[str, list[CasePlace]]:
    """Several of `places` as one."""
    whole: dict[str, list[CasePlace]] = {}
    for part in parts:
        for content, case_places in part.items():
            whole.setdefault(content, []).extend(case_places)
    return whole
