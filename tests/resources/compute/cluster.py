"""`python tests/resources/compute/cluster.py`: a Ray cluster in a process of its own, which tests talk to by lines.

Each command is a line on standard input and is answered by one: `node` adds a node of two processors, `kill node` ends
the latest with all its processes at once, `kill head` does that to the head, `head` starts a new cluster under the old
address. Where standard input ends, everything does.
"""

from __future__ import annotations

import os
import shutil
import socket
import sys
import tempfile
from typing import Any

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

from ray.cluster_utils import Cluster

#: What the nodes hold of objects in memory, in bytes; Ray takes no less.
STORE = 100 * 1024**2


def main() -> None:
    # sockets lie below it, and the names of those have to be short
    folder = tempfile.mkdtemp(prefix="ray-", dir="/tmp")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    try:
        serve(folder, port)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def serve(folder: str, port: int) -> None:
    """Carries out the lines of standard input."""
    cluster, nodes = started(folder, port), []
    answer(cluster.address)
    for line in sys.stdin:
        match line.strip():
            case "node":
                nodes.append(cluster.add_node(num_cpus=2, object_store_memory=STORE))
            case "kill node":
                cluster.remove_node(nodes.pop(), allow_graceful=False)
            case "kill head":
                cluster.head_node.kill_all_processes(check_alive=False, allow_graceful=False)
            case "head":
                cluster.shutdown()
                cluster, nodes = started(folder, port), []
        answer("done")
    cluster.shutdown()


def started(folder: str, port: int) -> Any:
    cluster = Cluster()
    cluster.add_node(
        num_cpus=0, gcs_server_port=port, temp_dir=folder, include_dashboard=False, object_store_memory=STORE
    )
    return cluster


def answer(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    main()
