"""MLflow's alias `champion` follows the ledger: one sensor for the whole house."""

from collections.abc import Sequence
from typing import Protocol

import dagster as dg

from pipeline_project.domain.core.errors import DatabaseUnreachable, ModelUnavailable
from pipeline_project.domain.lifecycle.champion_alias import alias_state
from pipeline_project.domain.lifecycle.signing import ChampionEntry
from pipeline_project.ports.ledger import Ledger
from pipeline_project.ports.registry import Registry
from pipeline_project.spec import WorkflowSpec

EVERY_SECONDS = 120
CHAMPION = "champion"


class Champions(Protocol):
    """What the sensor needs of the ledger."""

    def champions(self, workflow: str) -> Sequence[ChampionEntry]: ...


def build_aliases(specs: Sequence[WorkflowSpec]) -> dg.SensorDefinition:
    """Puts every workflow's alias where the ledger says, and tells the owner when somebody had moved it."""

    @dg.sensor(
        name="champion_aliases",
        minimum_interval_seconds=EVERY_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Points MLflow's alias `champion` at the version that decides; it starts no run.",
    )
    def champion_aliases(
        registry: dg.ResourceParam[Registry],
        promotions: dg.ResourceParam[Champions],
        ledger: dg.ResourceParam[Ledger],
    ) -> dg.SkipReason:
        messages = [message for spec in specs if (message := follow(spec, registry, promotions, ledger))]
        return dg.SkipReason("; ".join(messages) or "every alias points at the version that decides")

    return champion_aliases


def follow(spec: WorkflowSpec, registry: Registry, promotions: Champions, ledger: Ledger) -> str | None:
    """What was done about one workflow's alias, in words; None when it was right."""
    history = [champion.version for champion in promotions.champions(spec.name)]
    if not history:
        return None
    try:
        state = alias_state(registry.pointed(spec.name, CHAMPION), history)
        if state.right:
            return None
        registry.point(spec.name, CHAMPION, history[0])
    except (DatabaseUnreachable, ModelUnavailable) as error:
        return f"{spec.name}: {error}"
    if not state.by_hand:
        return f"{spec.name}: champion points at version {state.wanted} now"
    message = (
        f"somebody pointed the alias {CHAMPION} of {spec.name} at version {state.pointed}; it was put back to version "
        f"{state.wanted}, which decided all the while: who decides is the ledger's word, and changes by a signature"
    )
    ledger.raise_alert(
        spec.name, "alias_moved", f"alias/{state.pointed}", message, spec.owners[0], f"pipeline models {spec.name}"
    )
    return message
