"""Whether a night calls for a training: the rule of the domain, asked with what the ledger knows."""

from __future__ import annotations

from datetime import datetime

from pipeline_project.domain.lifecycle.retraining_due import is_due
from pipeline_project.partitions import window
from pipeline_project.ports.ledger import Ledger
from pipeline_project.spec import WorkflowSpec


def training_due(spec: WorkflowSpec, ledger: Ledger, night: str, known_before: datetime) -> str | None:
    """Why a challenger is to be trained for a night, or None; a night that has its model needs no second one."""
    trained = [model.night for model in ledger.models(spec.name) if model.night <= night]
    if night in trained:
        return None
    last = max(trained, default=None)
    new = ledger.outcomes_since(spec.name, window(spec, last).start if last else None, known_before)
    due = is_due(spec.retrain_rule, night, last, new)
    # what drift asks after a night is for the nights that follow it, and the model of that night knows nothing of it
    return due or (None if spec.warms_up(night) else ledger.training_asked(spec.name, last, night))
