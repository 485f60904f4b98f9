"""Hashes of what rows say, kept under a key: without it nobody can try values until one fits.

A hash of a name or an amount alone is found again by hashing all names and amounts, also when those that they are about
have been forgotten.
"""

from __future__ import annotations

import hashlib
import hmac

#: How a hash under a key begins; one without is hexadecimal from its first digit.
KEYED = "k-"
#: Tells these from the other uses of the key.
_USE = b"hash of a row\0"


def keyed(plain: str, secret: bytes) -> str:
    """The hash under a key; the same for the same hash. One that is under a key already stays as it is."""
    if plain.startswith(KEYED):
        return plain
    return KEYED + hmac.new(secret, _USE + plain.encode(), hashlib.sha256).hexdigest()
