"""The key under which an effect happens once, and the fingerprint of what was asked under it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from pipeline_project.domain.audit.canonical import canonical

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
