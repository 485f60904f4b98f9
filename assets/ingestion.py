"""From what came in to what may be decided: arrivals, cases and quarantine, and the truth about earlier cases."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from assets.common import RETRIES, counted, key, night_asset, night_outputs, night_step, rows, since, verdict
from assets.identity import earlier_names, history_of, hold_identity, standing_of
from pipeline_project.domain.core.nights import shifted
from pipeline_project.domain.core.schema import CASE_ID, NIGHT
from pipeline_project.domain.core.stored_tables import NotedTable, StoredTable
from pipeline_project.domain.deciding.clearance import NIGHT_IS_SOUND, NOTHING_VANISHED
from pipeline_project.domain.intake.accounting import CountedLines, balance
from pipeline_project.domain.intake.admission import (
    Admission,
    admit,
    commonest,
    open_share,
    read_rows,
    reason_counts,
    repaired,
    unevaluated,
)
from pipeline_project.domain.intake.contents import hits
from pipeline_project.domain.intake.duplicates import contradicting, repeated
from pipeline_project.domain.intake.lookups.terms import LOOKUPS
from pipeline_project.domain.intake.outcomes import known_honestly, without_case
from pipeline_project.domain.intake.readings import FileReading, as_json, from_json, unaccounted
from pipeline_project.partitions import earlier_nights, nights, window
from pipeline_project.ports.contracts import Contracts
from pipeline_project.ports.lake import Lake
from pipeline_project.ports.ledger import Ledger
from pipeline_project.ports.sources import Sources
from pipeline_project.services.as_of import stored
from pipeline_project.services.clearance import CheckFinding, leave_verdict
from pipeline_project.services.lookups import looked_in
from pipeline_project.spec import WorkflowSpec
from pipeline_project.spec.contract import rules

#: One alert per workflow, closed when nothing contradicts anything any more.
OUTCOMES_ALERT = "outcomes"
#: In the lake's commit of `arrivals`, and for people in its metadata: how each file was read.
READINGS = "readings"
_DETECTED = 100

#: Before the night in the key of an alert about its dropped rows.
DUPLICATES_ALERT = "duplicates"
#: In the metadata of the cases: how many dropped repeats tell another outcome than the row that was kept.
CONTRADICTING = "duplicates_contradicting"
EVER = datetime(9999, 12, 31, tzinfo=UTC)

AdmissionEvent = dg.MaterializeResult | dg.AssetCheckResult


def build_arrivals(spec: WorkflowSpec) -> dg.AssetsDefinition:
    """What came in for a night, untouched."""

    @dg.asset(key=key(spec, "arrivals"), **night_asset(spec, {"deltalake", spec.source.kind}))
    def arrivals(
        context: dg.AssetExecutionContext, sources: dg.ResourceParam[Sources]
    ) -> dg.MaterializeResult[NotedTable]:
        """Every row that landed, as strings, with file, line and content hash; none when nothing landed."""
        night = window(spec, context.partition_key)
        source = sources.cases(spec)
        landed = source.fingerprint(night)
        arrived = source.read(night)
        table, readings = arrived.rows, arrived.readings
        unreadable = len(table) - table["problem"].null_count
        files = len(set(table["file"].to_pylist()))
        detected = [f"- {reading.file}: {detail}" for reading in readings for detail in reading.detected]
        return dg.MaterializeResult(
            # what the check counts by stands in the same commit as the rows: neither is there without the other
            value=NotedTable(table, {READINGS: json.dumps(as_json(readings))}),
            metadata={
                "rows": rows(table),
                "files": files,
                "unreadable_lines": unreadable,
                "detected": dg.MetadataValue.md("\n".join(detected[:_DETECTED]) or "nothing beyond the spec"),
                READINGS: dg.MetadataValue.json(as_json(readings)),
                **since(context, landed),
            },
        )

    return arrivals


def build_admission(spec: WorkflowSpec) -> dg.AssetsDefinition:
    """Cases that meet the contract, and the rows that do not, with their reasons."""
    cases_key, quarantine_key = key(spec, "cases"), key(spec, "quarantine")
    described = {
        "cases": "Admitted cases, typed; each case once over all nights.",
        "quarantine": "Refused rows with reasons, waiting for repair.",
    }

    @dg.multi_asset(
        name=f"{spec.name}__admission",
        deps=[
            *(dg.AssetDep(key(spec, asset_name)) for asset_name in ("arrivals", *([LOOKUPS] if spec.lookups else []))),
            dg.AssetDep(cases_key, partition_mapping=earlier_nights()),
        ],
        outs=night_outputs(spec, {"deltalake", "greatexpectations"}, described),
        check_specs=[
            dg.AssetCheckSpec(rule.name, asset=cases_key, description=rule.rule, partitions_def=nights(spec))
            for rule in rules(spec)
        ],
        **night_step(spec),
    )
    def admission(
        context: dg.AssetExecutionContext,
        contracts: dg.ResourceParam[Contracts],
        lake: dg.ResourceParam[Lake],
        ledger: dg.ResourceParam[Ledger],
        sources: dg.ResourceParam[Sources],
    ) -> Iterator[AdmissionEvent]:
        """Types the rows, applies the contract, and separates cases, quarantine and exact duplicates."""
        night = context.partition_key
        read_at = sources.cases(spec).places()
        hold_identity(spec, ledger, night, read_at)
        arrivals = stored(lake, spec, "arrivals", night)
        typed = read_rows(arrivals.rows, spec.case_schema, looked_in(spec, lake, window(spec, night)))
        verdicts = contracts.cases(spec).validate(typed)
        history = history_of(lake, spec.name)
        earlier = None if history is None else history.filter(pc.less(history[NIGHT], night))
        standing = standing_of(spec, lake, ledger, night, typed, history, read_at)
        admission = admit(typed, verdicts, earlier, window(spec, night), standing=standing)
        ledger.record_readers(spec.name, read_at)
        contrary = _duplicates(spec, ledger, night, typed.arrivals, admission.duplicates)
        yield dg.MaterializeResult(
            asset_key=cases_key, value=admission.cases, metadata=_counts(admission) | {CONTRADICTING: contrary}
        )
        yield dg.MaterializeResult(
            asset_key=quarantine_key,
            value=admission.quarantine,
            metadata={"rows": rows(admission.quarantine), "reasons": counted(admission.reasons)},
        )
        # both outputs are stored by now: what is yielded is written before the next line runs
        made = [stored(lake, spec, asset_name, night) for asset_name in ("cases", "quarantine")]
        message = "; ".join(admission.systemic) or "the contract was evaluated whole"
        judged = CheckFinding("cases_contract", not admission.systemic, message)
        leave_verdict(spec, ledger, night, context.run.run_id, judged, [arrivals, *made])
        for check in verdicts:
            severity = dg.AssetCheckSeverity.ERROR if check.systemic else dg.AssetCheckSeverity.WARN
            yield dg.AssetCheckResult(asset_key=cases_key, check_name=check.name, **verdict(check, severity))

    return admission


def _counts(admission: Admission) -> dict[str, int | dg.MetadataValue]:
    """What became of the rows, and what was assumed while they were read."""
    return {
        "rows": rows(admission.cases),
        "arrivals": admission.arrivals,
        "duplicates": admission.duplicates,
        "alike": admission.alike,
        "outside_night": admission.outside_night,
        "assumed": dg.MetadataValue.md("\n".join(f"- {note}" for note in admission.notes) or "nothing"),
    }


def _duplicates(spec: WorkflowSpec, ledger: Ledger, night: str, arrivals: pa.Table, dropped: int) -> int:
    """How many dropped repeats of the night tell another outcome than the row that was kept; the owner is told."""
    cell, alert = spec.outcome_cell, f"{DUPLICATES_ALERT}/{night}"
    contrary = contradicting(repeated(arrivals), cell) if cell is not None and dropped else 0
    if contrary:
        message = (
            f"of {dropped:,} rows of {night} that were dropped as exact duplicates {contrary:,} tell another outcome "
            "than the row that was kept: the first is used. If they are cases of their own, deliver what tells them "
            "apart and name it in the spec's id"
        )
        command = f"pipeline results {spec.name}"
        ledger.raise_alert(spec.name, "duplicates_contradict", alert, message, spec.owners[0], command)
    else:
        ledger.close_alert(spec.name, alert)
    return contrary


def build_outcomes(spec: WorkflowSpec) -> dg.AssetsDefinition:
    """The truth about earlier cases, kept in the ledger with the time at which it became known."""

    @dg.asset(
        key=key(spec, "outcomes"),
        deps=[key(spec, "cases")],
        **night_asset(spec, {"postgres"}),
    )
    def outcomes(
        context: dg.AssetExecutionContext,
        sources: dg.ResourceParam[Sources],
        ledger: dg.ResourceParam[Ledger],
        lake: dg.ResourceParam[Lake],
    ) -> dg.MaterializeResult[None]:
        """Outcomes that arrived that night; the same outcome twice is one fact."""
        night = context.partition_key
        read = sources.outcomes(spec).read(window(spec, night))
        arrived, late = _honest(context, spec, lake, ledger, read.rows)
        new = ledger.record_outcomes(spec.name, arrived)
        problems = [f"{p.file}, line {p.line}: {p.reason}" for p in read.problems]
        if problems:
            context.log.warning("%d outcomes could not be used; see the metadata", len(problems))
        return dg.MaterializeResult(
            metadata={
                "arrived": rows(arrived),
                "new": new,
                "known_later_than_told": late,
                "unusable": len(problems),
                "problems": dg.MetadataValue.md("\n".join(f"- {p}" for p in problems[:20]) or "none"),
                "without_a_case": len(_without_case(spec, lake, night, arrived)),
                "contradictions": _contradictions(spec, ledger),
            }
        )

    return outcomes


def _honest(
    context: dg.AssetExecutionContext, spec: WorkflowSpec, lake: Lake, ledger: Ledger, arrived: pa.Table
) -> tuple[pa.Table, int]:
    """Outcomes with the times from which they were really known, and how many were known later than they say.

    What a night brings when it is first taken in is believed. What lands for it afterwards was not known to the nights
    that have been decided meanwhile, whatever it says of itself.
    """
    night = context.partition_key
    asked = dg.AssetRecordsFilter(context.asset_key, asset_partitions=[night])
    decided = [day for day in lake.nights(spec.name, "decisions") if day >= night and not spec.warms_up(day)]
    if not decided or not len(arrived):
        return arrived, 0
    # a night that was decided was taken in, though Dagster's events may be gone or older than the lake
    if night not in decided and not context.instance.fetch_materializations(asked, limit=1).records:
        return arrived, 0
    history = ledger.outcome_history(spec.name, EVER)
    until = window(spec, max(decided)).end
    honest = known_honestly(arrived, history, until)
    return honest, pc.sum(pc.equal(honest["known_at"], pa.scalar(until, honest["known_at"].type))).as_py() or 0


def _without_case(spec: WorkflowSpec, lake: Lake, night: str, arrived: pa.Table) -> list[str]:
    """Outcomes of cases that have not arrived, or are refused as yet; most nights tonight's cases need not be left."""
    for first in (night, None):
        cases = lake.read_span(spec.name, "cases", first, shifted(night, 1), [CASE_ID])
        left = without_case(arrived, [] if cases is None else cases[CASE_ID].to_pylist())
        if not left:
            break
    return left


def _contradictions(spec: WorkflowSpec, ledger: Ledger) -> int:
    """How many cases have outcomes that contradict each other, across nights and sources; the owner is told."""
    open_ones = len(ledger.contradictions(spec.name))
    if open_ones:
        message = (
            f"of {open_ones} cases the sources tell several outcomes that became known at the same time; until a later "
            "one settles it the one recorded last is used"
        )
        kind, command = "outcomes_contradict", f"pipeline outcomes {spec.name}"
        ledger.raise_alert(spec.name, kind, OUTCOMES_ALERT, message, spec.owners[0], command)
    else:
        ledger.close_alert(spec.name, OUTCOMES_ALERT)
    return open_ones


def build_admission_checks(spec: WorkflowSpec) -> list[dg.AssetChecksDefinition]:
    """The two checks that stop a night: rows that vanished, and a night that is broken as a whole."""
    return [_nothing_vanished(spec), _night_is_sound(spec)]


def _nothing_vanished(spec: WorkflowSpec) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        retry_policy=RETRIES,
        asset=key(spec, "cases"),
        name="nothing_vanished",
        blocking=True,
        partitions_def=nights(spec),
        description="lines read = lines in rows + lines passed over; arrivals = admitted + quarantined + duplicates",
    )
    def nothing_vanished(
        context: dg.AssetCheckExecutionContext, lake: dg.ResourceParam[Lake], ledger: dg.ResourceParam[Ledger]
    ) -> dg.AssetCheckResult:
        night = context.partition_key
        looked_at = [stored(lake, spec, asset_name, night) for asset_name in ("arrivals", "cases", "quarantine")]
        arrived, admitted, refused = (table.rows["row_sha256"].to_pylist() for table in looked_at)
        readings = _readings(spec, lake, looked_at[0])
        lines = unaccounted(readings or [], looked_at[0].rows)
        earlier = _earlier(spec, lake, night, arrived, {*admitted, *refused})
        night_balance = balance(arrived, admitted, refused, earlier, CountedLines(*lines, counted=readings is not None))
        judged = CheckFinding(NOTHING_VANISHED, night_balance.holds, night_balance.words)
        leave_verdict(spec, ledger, night, context.run.run_id, judged, looked_at)
        return dg.AssetCheckResult(
            passed=night_balance.holds,
            severity=dg.AssetCheckSeverity.ERROR,
            description=night_balance.words,
            metadata=night_balance.as_metadata(),
        )

    return nothing_vanished


def _night_is_sound(spec: WorkflowSpec) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        retry_policy=RETRIES,
        asset=key(spec, "cases"),
        name="night_is_sound",
        blocking=True,
        partitions_def=nights(spec),
        description=f"at most {spec.contract.quarantine_limit:.0%} of the rows are refused; more is a broken night",
    )
    def night_is_sound(
        context: dg.AssetCheckExecutionContext, lake: dg.ResourceParam[Lake], ledger: dg.ResourceParam[Ledger]
    ) -> dg.AssetCheckResult:
        night, limit = context.partition_key, spec.contract.quarantine_limit
        looked_at = [stored(lake, spec, asset_name, night) for asset_name in ("arrivals", "cases", "quarantine")]
        arrivals, cases, quarantine = (table.rows for table in looked_at)
        refused, repairs = len(quarantine), repaired(arrivals, cases["row_sha256"].to_pylist())
        raised = unevaluated(quarantine["reasons"].to_pylist())
        share, reasons = open_share(refused, repairs, len(arrivals)), reason_counts(quarantine["reasons"].to_pylist())
        passed = share <= limit and not raised
        description = f"{refused} of {len(arrivals)} rows refused, {repairs} repaired; the limit is {limit:.0%}"
        description = "; ".join([*raised, description, *([f"most often: {commonest(reasons)}"] if reasons else [])])
        judged = CheckFinding(NIGHT_IS_SOUND, passed, description)
        leave_verdict(spec, ledger, night, context.run.run_id, judged, looked_at)
        return dg.AssetCheckResult(
            passed=passed,
            severity=dg.AssetCheckSeverity.ERROR,
            description=description,
            metadata={
                "refused": refused, "repaired": repairs, "arrived": len(arrivals), "share": share,
                "reasons": counted(reasons),
            },
        )  # fmt: skip

    return night_is_sound


def _earlier(spec: WorkflowSpec, lake: Lake, night: str, arrived: list[str], tonight: set[str]) -> list[str]:
    """Of tonight's contents those that stand in an earlier night; also under an earlier name, where it was let go."""
    earlier: list[str] = []
    for name in (spec.name, *earlier_names(spec)):
        own = name == spec.name
        history = lake.read_span(name, "cases", None, night if own else "9999-12-31", ["row_sha256"])
        if history is not None:
            again = hits(history, "row_sha256", arrived)["row_sha256"].to_pylist()
            earlier += again if own else [row for row in again if row not in tonight]
    return earlier


def _readings(spec: WorkflowSpec, lake: Lake, arrivals: StoredTable) -> list[FileReading] | None:
    """How the files of these very rows were read; None where that was not kept with them."""
    note = lake.note(spec.name, "arrivals", str(arrivals.content)).get(READINGS)
    return None if note is None else from_json(json.loads(note))
