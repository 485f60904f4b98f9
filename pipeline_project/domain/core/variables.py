"""Which variables of the environment a spec may name: whoever writes a spec does not thereby read the operator's."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from enum import Enum

# The innermost `${NAME}` or `${NAME:-default}`: its default holds no further braces, so defaults may nest.
VARIABLE = re.compile(r"\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^{}]*))?\}")
_NAMED = re.compile(r"\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)")
#: What every spec may name: folders and addresses, no secret. More are allowed by prefix, or by the operator's list.
NAMEABLE = frozenset({"PIPELINE_HOME", "PIPELINE_SAMPLE", "PIPELINE_REAL_DATA", "PIPELINE_SHOP_URL"})
PREFIX = "PIPELINE_SOURCE_"
#: Of those a tenant has values of its own.
_OWN_PLACES = frozenset({"PIPELINE_HOME", "PIPELINE_SAMPLE"})
#: Those that hold a secret are used where the spec says that one is meant, and never put into a path or an address.
SECRETS = frozenset({"PIPELINE_SHOP_SECRET"})
SECRET_PREFIX = "PIPELINE_SECRET_"
LIST = "PIPELINE_SPEC_VARIABLES"
# A name and a password, as a database's or a service's URL holds them.
_WITH_PASSWORD = re.compile(r"://[^/?#\s]*:[^/?#\s]*@|[?&;](?:password|passwd|pwd|sslpassword)=", re.IGNORECASE)


class Use(Enum):
    """What a spec does with a variable: puts it into a text with `${...}`, or has it read as the secret that it is."""

    TEXT = "text"
    SECRET = "secret"


def nameable(name: str, listed: Collection[str], use: Use = Use.TEXT, tenant: str = "") -> bool:
    """Whether a spec may use a variable so; `listed` are the names that the operator allows besides.

    A tenant's spec may name those that carry the tenant's name, since the processes of the house have everybody's.
    """
    if tenant:
        own = name.startswith(PREFIX + _own(tenant))
        return name in _OWN_PLACES or own or (use is Use.SECRET and name.startswith(SECRET_PREFIX + _own(tenant)))
    if name in NAMEABLE or name.startswith(PREFIX) or name in listed:
        return True
    return use is Use.SECRET and (name in SECRETS or name.startswith(SECRET_PREFIX))


def not_nameable(name: str, use: Use = Use.TEXT, tenant: str = "") -> str:
    """What is wrong with such a name, and what to set."""
    rename = PREFIX if use is Use.TEXT else SECRET_PREFIX
    if tenant:
        own = f"{rename}{_own(tenant)}"
        return f"a spec of tenant {tenant} may not name the environment variable {name}; rename it to {own}..."
    unless = ", if it holds no secret," if use is Use.TEXT else ""
    return (
        f"a spec may not name the environment variable {name}; rename it to {rename}..., or{unless} "
        f"add it to {LIST} (names separated by commas)"
    )


def _own(tenant: str) -> str:
    return f"{tenant.upper()}_"


def in_label_order(text: str) -> Iterator[str]:
    """The names that a text asks for with `${...}`, also in defaults of others."""
    for match in _NAMED.finditer(text):
        yield match["name"]


def holds_password(value: str) -> bool:
    """Whether a value is an address with a password in it, which belongs into no text."""
    return bool(_WITH_PASSWORD.search(value))
