"""The guard of who a case is: nothing is decided again because its id, its workflow's name or its night has changed."""

import json
from collections.abc import Iterable, Mapping, Sequence

import pandas as pd
import pyarrow as pa

from pipeline_project.domain.core.errors import IdentityChanged, LakeSchemaChanged, LakeUnavailable
from pipeline_project.domain.core.schema import CASE_ID, CONTENT, NIGHT, CaseSchema
from pipeline_project.domain.intake.contents import Shape, contents_as, hits, shape
from pipeline_project.domain.intake.identity import Identity, changed_ids, overlap, same_source
from pipeline_project.domain.intake.known_cases import CasePlace, KnownCases, merged, places
from pipeline_project.domain.intake.typed_rows import TypedRows
from pipeline_project.ports.lake import Lake
from pipeline_project.ports.ledger import Ledger
from pipeline_project.spec import WorkflowSpec
from pipeline_project.spec.workflow import read_schema

_ALWAYS = "9999-12-31"
_ROW = "row_sha256"


def hold_identity(spec: WorkflowSpec, ledger: Ledger, night: str, read_at: Sequence[str] = ()) -> None:
    """Lets a night go on only if its cases are new ones, or the spec says who they were.

    Args:
        read_at: the places that the workflow reads, where they are known.

    Raises:
        IdentityChanged: with what to write into the spec.
    """
    own = ledger.workflow_specs(spec.name)
    now = Identity.of(spec.model_dump(mode="json"))
    earlier = {spec_hash: Identity.of(recorded) for spec_hash, recorded in own.items()}
    other_ids = {spec_hash for spec_hash, identity in earlier.items() if identity.made_from != now.made_from}
    otherwise = bool(other_ids) and bool(other_ids & ledger.night_specs(spec.name, night))
    why = changed_ids(now, list(earlier.values()), night, otherwise)
    for name in _fellow_readers(spec, ledger, read_at) if why is None else ():
        why = why or same_source(now, _newest(ledger, name), night)
    if why is not None:
        raise IdentityChanged(why)


def standing_of(
    spec: WorkflowSpec,
    lake: Lake,
    ledger: Ledger,
    night: str,
    typed: TypedRows,
    history: pa.Table | None,
    read_at: Sequence[str],
) -> KnownCases:
    """What stands already of a night's rows: in other nights, in workflows of the same source, and decided tonight.

    Args:
        history: as `history_of` gives it.
        read_at: as for `hold_identity`.
    """
    fellows = [
        name
        for name in _fellow_readers(spec, ledger, read_at)
        if name not in spec.twins.shared_with and spec.name not in _newest(ledger, name).shared_with
    ]
    names = dict.fromkeys([*spec.renamed_from, *fellows])
    schemas = {shape(spec.case_schema): spec.case_schema}
    for name in (spec.name, *names):
        for recorded in ledger.workflow_specs(name).values():
            schema = read_schema(recorded)
            if schema is not None:
                schemas.setdefault(shape(schema), schema)
    hashes = _as_kept(_row_hashes(typed, spec.case_schema, schemas), lake, (spec.name, *names))
    wanted = {content for row in hashes for content in row}
    elsewhere = [places(spec.name, history, wanted, but=night)]
    before: dict[str, str] = {}
    rows: set[str] = set()
    for name in names:
        if name == spec.name:
            continue
        theirs = history_of(lake, name)
        if theirs is None:
            continue
        if name in spec.renamed_from:
            theirs = _decided_part(ledger, name, theirs, typed, wanted)
            before |= dict(zip(theirs[CASE_ID].to_pylist(), theirs[NIGHT].to_pylist(), strict=True))
            rows |= set(theirs[_ROW].to_pylist())
        elsewhere.append(places(name, theirs, wanted))
    decided = ledger.decided(spec.name, night, night)
    return KnownCases(
        told=hashes,
        elsewhere=merged(elsewhere),
        gone=_gone(spec, lake, night, typed, decided),
        decided=frozenset(decided[CASE_ID]),
        before=before,
        rows=frozenset(rows),
        workflow=spec.name,
        real=spec.twins.real is not None,
    )


def earlier_names(spec: WorkflowSpec) -> list[str]:
    """Names under which cases of the workflow may have been decided, its own not among them."""
    return [name for name in spec.renamed_from if name != spec.name]


def _fellow_readers(spec: WorkflowSpec, ledger: Ledger, read_at: Sequence[str]) -> list[str]:
    """Other workflows that have decided cases and read what this one reads."""
    return [name for name, there in ledger.source_readers().items() if name != spec.name and overlap(read_at, there)]


def _newest(ledger: Ledger, name: str) -> Identity:
    return Identity.of(list(ledger.workflow_specs(name).values())[-1])


def _row_hashes(typed: TypedRows, own: CaseSchema, schemas: Mapping[Shape, CaseSchema]) -> list[list[str]]:
    """Of each row the hashes of what it says, as this workflow reads it and as each of the other schemas does."""
    columns = [typed.frame[CONTENT].astype("object").tolist()]
    others = [schema for read_as, schema in schemas.items() if read_as != shape(own)]
    if others:
        cells = [json.loads(raw) for raw in typed.arrivals["raw"].to_pylist()]
        columns += [as_read for schema in others if (as_read := contents_as(cells, schema)) is not None]
    return [[content for content in row if isinstance(content, str)] for row in zip(*columns, strict=True)]


def _as_kept(hashes: list[list[str]], lake: Lake, workflows: Iterable[str]) -> list[list[str]]:
    """The hashes of each row, in every spelling in which one of these workflows keeps them."""
    plain = list(dict.fromkeys(content for row in hashes for content in row))
    spelled = [dict(zip(plain, lake.keyed(name, plain), strict=True)) for name in dict.fromkeys(workflows)]
    return [list(dict.fromkeys([*row, *(keyed[content] for keyed in spelled for content in row)])) for row in hashes]


def history_of(lake: Lake, workflow: str) -> pa.Table | None:
    """Who stands in all nights of a workflow: night, case_id, row_sha256, content_sha256; None without a table.

    Cases from before contents were kept have none.
    """
    columns = [NIGHT, CASE_ID, _ROW]
    try:
        return lake.read_span(workflow, "cases", None, _ALWAYS, [*columns, CONTENT])
    except LakeSchemaChanged:
        table = lake.read_span(workflow, "cases", None, _ALWAYS, columns)
        return None if table is None else table.append_column(CONTENT, pa.nulls(len(table), pa.string()))


def _decided_part(ledger: Ledger, name: str, history: pa.Table, typed: TypedRows, wanted: set[str]) -> pa.Table:
    """The cases of an earlier name that tonight's rows are, or say the same as, and that were decided."""
    parts = [
        hits(history, CASE_ID, typed.frame[CASE_ID].dropna().tolist()),
        hits(history, CONTENT, sorted(wanted)),
        hits(history, _ROW, typed.frame[_ROW].tolist()),
    ]
    met = pa.concat_tables(parts)
    return hits(met, CASE_ID, sorted(ledger.decided_cases(name, met[CASE_ID].unique().to_pylist())))


def _gone(spec: WorkflowSpec, lake: Lake, night: str, typed: TypedRows, decided: pd.DataFrame) -> dict[str, CasePlace]:
    """Cases of the night that were decided and whose ids do not come any more, by what they said."""
    arrived = set(typed.frame[CASE_ID].dropna())
    table = f"{spec.name}/cases"
    lost = {
        case: versions.get(table)
        for case, versions in zip(decided[CASE_ID], decided["data_versions"], strict=True)
        if case not in arrived and isinstance(versions, dict)
    }
    gone: dict[str, CasePlace] = {}
    for version in sorted({version for version in lost.values() if version is not None}):
        try:
            rows = lake.read_night(spec.name, "cases", night, version)
        except LakeUnavailable:
            continue  # what the lake no longer keeps cannot be compared; other nights still are
        for row in rows.to_pylist() if rows is not None and CONTENT in rows.column_names else ():
            if row[CASE_ID] in lost and row[CONTENT]:
                gone[row[CONTENT]] = CasePlace(spec.name, night, row[CASE_ID])
    return gone
