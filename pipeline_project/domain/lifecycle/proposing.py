"""From a challenger to a signature: when it must be held back, what is proposed, and what exactly a person signs."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline_project.domain.core.model_version import ModelVersion
from pipeline_project.domain.lifecycle.gates import GateVerdict, passed
from pipeline_project.domain.lifecycle.replay.findings import ReplayResult


@dataclass(frozen=True)
class ModelProposal:
    """A challenger that asks to decide.

    Attributes:
        night: on which it was trained; `digest` of its files.
        base_version: the champion it was compared with.
        passed: whether every gate did.
        promised_error: share of its decisions without people that were wrong in the replay; None if there were none.
        gates: verdicts as mappings; `replay` the result as a mapping, None where there was none.
        card: the model card, in Markdown.
    """

    workflow: str
    version: str
    night: str
    digest: str
    base_version: str
    spec_hash: str
    trained_by: str
    passed: bool
    promised_error: float | None
    gates: Sequence[Mapping[str, Any]]
    replay: Mapping[str, Any] | None
    card: str = ""

    @property
    def hash(self) -> str:
        """sha256 over everything that a person is shown; a signature is about this and nothing else."""
        content = json.dumps(plain(dataclasses.asdict(self)), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(content.encode()).hexdigest()


def proposal(
    model: ModelVersion,
    base: ModelVersion,
    spec_hash: str,
    verdicts: Sequence[GateVerdict],
    result: ReplayResult | None,
    card: str = "",
) -> ModelProposal:
    """What a challenger's replay and the gates' verdicts come to."""
    error = math.nan if result is None else result.candidate.error
    return ModelProposal(
        workflow=model.workflow,
        version=model.version,
        night=model.night,
        digest=model.digest,
        base_version=base.version,
        spec_hash=spec_hash,
        trained_by=model.trained_by or "dagster",
        passed=passed(verdicts),
        promised_error=error if math.isfinite(error) else None,
        gates=[dataclasses.asdict(verdict) for verdict in verdicts],
        replay=None if result is None else shown(result),
        card=card,
    )


def shown(result: ReplayResult) -> dict[str, Any]:
    """A replay's result as JSON holds it, without how long it took: the same replay again must be the same proposal."""
    fields: dict[str, Any] = plain(dataclasses.asdict(dataclasses.replace(result, seconds=0.0)))
    return fields


def plain(value: Any) -> Any:
    """Mappings, lists, strings and finite numbers alone; a number that is none becomes None."""
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value


def held_back_until(night: str, mature: Sequence[str], wanted: int) -> str:
    """The night before which everything a challenger learns from must have been known.

    A challenger is judged on nights it knows nothing of, and the very files that were judged are the ones that decide:
    so it is held back from the latest nights whose outcomes are in. It costs no more time than to train on everything
    and wait for as many new nights.

    Args:
        night: of the training.
        mature: decided nights before it whose outcomes are in, in order.
        wanted: how many of them a replay takes.
    """
    return mature[-wanted:][0] if mature else night
