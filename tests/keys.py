"""Where the keys of a test's home lie: homes on one server share its ledger, and so the keys that it hangs on."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def shared_keys(base: Path) -> Path:
    """One folder of keys per server.

    Args:
        base: the folder that all homes of this session lie in.
    """
    if os.environ.get("PIPELINE_TEST_POSTGRES_URL"):
        # such a server outlives the session, and its ledger does
        return Path(tempfile.gettempdir()) / "pipeline-test-keys"
    return base / "keys"
