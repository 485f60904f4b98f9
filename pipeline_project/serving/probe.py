"""`python -m pipeline_project.serving.probe ADDRESS`: 0 where a process says there that it is well, else 1.

For orchestrators that run a command in the container: the image has no curl, and Dagster's own check of a code server
imports Dagster, for seconds, each time.

    probe http://127.0.0.1:3004/healthz     any server of the house
    probe grpc://127.0.0.1:4000             a code location
"""

from __future__ import annotations

import sys
import urllib.error
import urllib.request
from urllib.parse import urlsplit

SECONDS = 5.0
#: Under this name a code server of Dagster's says over gRPC's health protocol how it is.
CODE_SERVER = "DagsterApi"
WRONG_CALL = 2


def is_well(address: str, seconds: float = SECONDS) -> bool:
    """Whether the process at an address says in time that it is well.

    Raises:
        ValueError: it is neither http:// nor grpc://.
    """
    parts = urlsplit(address)
    if parts.scheme == "grpc":
        return _serves(parts.netloc, seconds)
    if parts.scheme != "http":
        raise ValueError(f"{address} is neither http:// nor grpc://")
    try:
        with urllib.request.urlopen(address, timeout=seconds) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.HTTPError):
        return False


def _serves(target: str, seconds: float) -> bool:
    import grpc
    from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
    from grpc_health.v1.health_pb2_grpc import HealthStub

    with grpc.insecure_channel(target) as channel:
        try:
            answer = HealthStub(channel).Check(HealthCheckRequest(service=CODE_SERVER), timeout=seconds)
        except grpc.RpcError:
            return False
    return bool(answer.status == HealthCheckResponse.SERVING)


def main(arguments: list[str]) -> int:
    """The exit code: 0 well, 1 not, 2 a wrong call."""
    try:
        (address,) = arguments
        return 0 if is_well(address) else 1
    except ValueError as error:
        sys.stderr.write(f"give one address, http://... or grpc://... ({error})\n")
        return WRONG_CALL


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
