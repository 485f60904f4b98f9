"""The key under which an effect happens once, and the fingerprint of what was asked under it."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from pipeline_project.domain.audit.canonical import as_floats, canonical

#: Never changes: every key in every outbox and every destination's memory hangs on it.
NAMESPACE = uuid5(NAMESPACE_URL, "urn:pipeline-project:actions")


def action_key(tenant: str, workflow: str, kind: str, case_id: str, epoch: int) -> UUID:
    """The key of one action: made of what is decided and nothing else, so that every attempt finds the same one.

    Args:
        epoch: which decision of the case asks for it, counted from 1.
    """
    # as JSON, so that no two different parts can spell the same name
    return uuid5(NAMESPACE, json.dumps([tenant, workflow, kind, case_id, epoch], ensure_ascii=True))


def fingerprint(payload: Mapping[str, Any]) -> str:
    """sha256 hex over the payload's one spelling; it does not depend on the order of its keys."""
    return hashlib.sha256(canonical(payload).encode()).hexdigest()


def tampering(payload: Mapping[str, Any], recorded: str, named: tuple[str, str, str], money: float) -> str | None:
    """Why a payload is not what was decided, or None.

    Args:
        recorded: the fingerprint that was made of it when the action was decided.
        named: workflow, kind and case, as the action's row has them.
        money: what the action's row pays out.
    """
    if recorded not in (fingerprint(payload), _fingerprint_of_floats(payload)):
        return "its payload is not the one whose fingerprint was recorded with the decision"
    if tuple(payload.get(name) for name in ("workflow", "action", "case")) != named:
        return "its payload speaks of another workflow, action or case than its row"
    amount = payload.get("amount", 0)
    if not isinstance(amount, int | float) or not math.isfinite(money) or round(amount, 2) != round(money, 2):
        return "its payload pays out another amount than its row"
    return None


def _fingerprint_of_floats(payload: Mapping[str, Any]) -> str | None:
    """The fingerprint where a float of 2**53 or more came back from the ledger as a whole number."""
    try:
        return fingerprint(as_floats(payload))
    except OverflowError:
        return None
