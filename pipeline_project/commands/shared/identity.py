"""Who types: the account on this machine, as the ledger names it."""

from __future__ import annotations

import getpass


def shell_user() -> str:
    """Who is signed in to this machine; no sign-in of the desk stands behind it."""
    return f"shell:{getpass.getuser()}"
