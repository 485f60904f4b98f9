"""The decision of each case, once: the policy's word, put into the ledger, as it stands there."""

from collections.abc import Iterator, Mapping

import dagster as dg
import pandas as pd
import pyarrow as pa

from assets.common import counted, from_tonight, key, made_together, night_asset, night_outputs, night_step, rows
from assets.contract_checks import build_contract_checks
from assets.identity import hold_identity
from pipeline_project.domain.core.schema import CASE_ID, Role
from pipeline_project.domain.core.stored_tables import StoredTable
from pipeline_project.domain.deciding.decisions import (
    DECISIONS,
    NightDecisions,
    NightPolicy,
    asked,
    bounds_metadata,
    changed,
    decide_night,
    ledger_rows,
    option_counts,
    standing_table,
)
from pipeline_project.domain.deciding.sentences import BOUNDS, NightBounds, sentences
from pipeline_project.domain.intake.lookups.terms import LOOKUPS
from pipeline_project.domain.reporting.sentences import money
from pipeline_project.domain.review.content import CaseContext, Personal
from pipeline_project.domain.review.new_tasks import DeskRules
from pipeline_project.domain.review.night_work import AskedCases, NightWork, asked_cases, night_work
from pipeline_project.partitions import window
from pipeline_project.ports.contracts import Contract, Contracts
from pipeline_project.ports.keyring import Keyring
from pipeline_project.ports.lake import Lake
from pipeline_project.ports.ledger import Ledger
from pipeline_project.ports.lifecycle import Quality
from pipeline_project.ports.review import Reviews
from pipeline_project.services.aggregating import AGGREGATES
from pipeline_project.services.case_context import known_beside, sealed_values
from pipeline_project.services.clearance import cleared
from pipeline_project.services.decision_context import decision_context
from pipeline_project.spec import WorkflowSpec

#: The asset that says what bounded a night's decisions, made with them: it cannot be read off their rows.
BOUNDED_BY = "decision_bounds"
DESCRIBED = {
    "decisions": "The option chosen for each case of the night, once, as it stands in the ledger.",
    BOUNDED_BY: "What bounded the night's decisions beyond costs: places for people, and sentences on the rest.",
}


def build_decisions(spec: WorkflowSpec) -> dg.AssetsDefinition:
    """Act, or ask a person, at the lowest expected cost; only cases never decided before get a new decision."""
    asset_names = ["arrivals", "cases", "quarantine", "scores", *(["clusters"] if spec.clusters else [])]
    asset_names += [LOOKUPS] * bool(spec.lookups)
    asset_names += [AGGREGATES] * spec.aggregates

    @dg.multi_asset(
        name=f"{spec.name}__decisions",
        ins=from_tonight(spec, *asset_names),
        outs=night_outputs(spec, {"deltalake", "postgres"}, DESCRIBED),
        can_subset=True,
        **night_step(spec),
    )
    def decisions(
        context: dg.AssetExecutionContext,
        ledger: dg.ResourceParam[Ledger],
        lake: dg.ResourceParam[Lake],
        keyring: dg.ResourceParam[Keyring],
        quality: dg.ResourceParam[Quality],
        **tonight: StoredTable,
    ) -> Iterator[dg.MaterializeResult[pa.Table] | dg.AssetMaterialization]:
        """Decides the night as a whole and records it, with tasks and actions, in one transaction, fenced.

        In whatever run it is asked for, it rests on the verdicts of the night's checks over the very tables it uses.
        """
        night = context.partition_key
        if spec.warms_up(night):
            yield from made_together(context, spec, lake, _nothing_decided(spec))
            return
        hold_identity(spec, ledger, night)
        basis = cleared(spec, lake, ledger, night, "decisions", tonight.values())
        ledger.record_workflow(spec.name, spec.spec_hash, spec.model_dump(mode="json"))
        attempt = ledger.begin_attempt(spec.name, night, context.run.run_id, window(spec, night).end)
        tables = {asset_name: table.rows for asset_name, table in tonight.items()}
        amount = spec.case_schema.by_role(Role.AMOUNT)
        decided = decide_night(
            tables["cases"],
            tables["scores"],
            tables.get("clusters"),
            NightPolicy(spec.cost_matrix, spec.policy_terms, amount.name if amount else None),
            decision_context(spec, lake, ledger, quality, window(spec, night), tables["scores"]),
        )
        to_people = asked_cases(decided)
        contexts = known_beside(spec, lake, ledger, window(spec, night), tables["cases"], to_people)
        work = _work(spec, tables, decided, contexts, sealed_values(spec, keyring, tables["cases"], to_people))
        standing = ledger.record_decisions(
            spec.name, night, attempt, ledger_rows(decided, tonight, spec.spec_hash), work, basis=basis
        )
        made = _made(spec, night, decided, standing, work, attempt)
        yield from made_together(context, spec, lake, made)

    return decisions


def _made(
    spec: WorkflowSpec, night: str, decided: NightDecisions, standing: pd.DataFrame, work: NightWork, attempt: int
) -> Iterator[dg.MaterializeResult[pa.Table]]:
    """The night's decisions as they stand in the ledger, and what bounded them."""
    table, result = standing_table(decided, standing), decided.result
    bounds = NightBounds(result.places, tuple(sentences(result, lambda amount: money(amount, spec.currency))))
    yield dg.MaterializeResult(
        asset_key=key(spec, "decisions"),
        value=table,
        metadata={
            "rows": rows(table),
            "options": option_counts(table),
            "asked": counted(asked(table)),
            "new": int(standing["new"].sum()),
            "actions": sum(len(planned) for planned in work.actions.values()),
            "would_change": changed(table),
            "places": result.places,
            "shadow_price": result.shadow_price,
            **bounds_metadata(result),
            "bounds": [*bounds.sentences],
            "attempt": attempt,
        },
    )
    yield dg.MaterializeResult(asset_key=key(spec, BOUNDED_BY), value=bounds.table(night))


def _nothing_decided(spec: WorkflowSpec) -> Iterator[dg.MaterializeResult[pa.Table]]:
    for asset_name, schema in (("decisions", DECISIONS), (BOUNDED_BY, BOUNDS)):
        metadata = {"rows": 0, "warm_up": True}
        yield dg.MaterializeResult(asset_key=key(spec, asset_name), value=schema.empty_table(), metadata=metadata)


def _work(
    spec: WorkflowSpec,
    tonight: Mapping[str, pa.Table],
    decided: NightDecisions,
    contexts: Mapping[str, CaseContext],
    personal: Mapping[str, Personal],
) -> NightWork:
    """What the night's decisions ask of people and of the outside.

    Args:
        contexts, personal: of the cases that people are asked about, by case.
    """
    problems = dict(zip(*(tonight["scores"][column].to_pylist() for column in (CASE_ID, "problem")), strict=True))
    return night_work(
        decided,
        tonight["cases"],
        spec.case_schema,
        spec.cost_matrix,
        DeskRules(spec.review_terms, spec.action_terms),
        AskedCases(known=contexts, personal=personal, problems=problems),
    )


def build_release(spec: WorkflowSpec) -> dg.AssetsDefinition:
    """Lets the night's actions out, once every blocking check of the night has passed on its tables as they are."""

    @dg.asset(
        key=key(spec, "release"),
        deps=[key(spec, "decisions")],
        **night_asset(spec, {"postgres"}),
    )
    def release(
        context: dg.AssetExecutionContext,
        lake: dg.ResourceParam[Lake],
        ledger: dg.ResourceParam[Ledger],
        reviews: dg.ResourceParam[Reviews],
    ) -> dg.MaterializeResult[None]:
        """Marks the night as released: its actions may be sent, and decided clusters look at its newcomers."""
        night = context.partition_key
        if spec.warms_up(night):
            return dg.MaterializeResult(metadata={"ready": 0, "warm_up": True})
        basis = cleared(spec, lake, ledger, night, "release")
        ready = ledger.release(spec.name, night, context.run.run_id, basis=basis)
        sampled = reviews.newcomers(night, spec.review_terms, spec.action_terms)
        return dg.MaterializeResult(metadata={"ready": ready, "clusters_sampled_again": sampled})

    return release


def build_decision_checks(spec: WorkflowSpec) -> list[dg.AssetChecksDefinition]:
    """Every admitted case has exactly one decision."""

    def contract(contracts: Contracts, cases: pa.Table, night: str) -> Contract:
        return contracts.decisions(spec, [] if spec.warms_up(night) else cases[CASE_ID].to_pylist())

    return [build_contract_checks(spec, "decisions", contract)]
