"""What a code server is asked that `DefaultRunLauncher`, which is public, asks only when it ends a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dagster import deserialize_value
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._grpc.client import DagsterGrpcClient
from dagster._grpc.types import CanCancelExecutionRequest, CanCancelExecutionResult


def carries_out(address: Mapping[str, Any], run_id: str, seconds: int) -> bool | None:
    """Whether the code server at an address has this run among those it carries out; None where it does not say."""
    client = DagsterGrpcClient(
        host=address.get("host") or "localhost",
        port=address.get("port"),
        socket=address.get("socket"),
        use_ssl=bool(address.get("use_ssl")),
    )
    try:
        answer = client.can_cancel_execution(CanCancelExecutionRequest(run_id=run_id), timeout=seconds)
    except DagsterUserCodeUnreachableError:
        return None
    return bool(deserialize_value(answer, CanCancelExecutionResult).can_cancel)


__all__ = ["carries_out"]
