"""The audit chain's checkpoints: one sensor for the whole house signs the chain every few minutes."""

from typing import Any, Protocol

import dagster as dg

#: What is recorded between two checkpoints can be cut off without a trace, so they are not far apart.
EVERY_SECONDS = 300


class Audit(Protocol):
    """What the sensor needs of the audit chain."""

    def checkpoint(self) -> Any:
        """Signs what was added since the last time; None when that is nothing.

        Raises:
            AuditBroken: the chain does not continue what was signed; nothing is signed then.
        """


def build_checkpoints() -> dg.SensorDefinition:
    """Signs the chain every five minutes; a chain that was tampered with fails the tick, which Dagster shows."""

    @dg.sensor(
        name="audit_checkpoints",
        minimum_interval_seconds=EVERY_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Signs the audit chain as it stands; it starts no run.",
    )
    def audit_checkpoints(audit: dg.ResourceParam[Audit]) -> dg.SkipReason:
        signed = audit.checkpoint()
        return dg.SkipReason(
            "nothing was added to the audit chain" if signed is None else f"signed up to batch {signed.number}"
        )

    return audit_checkpoints
