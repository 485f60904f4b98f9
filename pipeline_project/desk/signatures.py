"""Standard Webhooks signatures with two secrets valid at once, so that a secret can be changed without a gap."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Mapping, Sequence
from datetime import datetime

from standardwebhooks import Webhook, WebhookVerificationError

from pipeline_project.domain.core.errors import SettingInvalid
from pipeline_project.domain.core.tenants import in_dagster

#: Variables that hold a workflow's secrets begin with this; its name in capitals follows, a tenant's before it.
SECRET_VARIABLE = "PIPELINE_HOOK_SECRET_"
MOST_SECRETS = 2
#: Bytes of a secret, as the standard asks for at least and at most.
SHORTEST, LONGEST = 24, 64
HEADERS = ("webhook-id", "webhook-timestamp", "webhook-signature")


def secret_variable(workflow: str, tenant: str = "") -> str:
    """The environment variable that holds a workflow's secrets; two tenants' workflows of one name have two."""
    return f"{SECRET_VARIABLE}{in_dagster(workflow, tenant).upper()}"


def secrets_of(workflow: str, environ: Mapping[str, str], tenant: str = "") -> tuple[str, ...]:
    """The workflow's secrets, the newest first; none where its door is shut.

    Raises:
        SettingInvalid: the variable holds something that is no pair of secrets; it is not repeated.
    """
    name = secret_variable(workflow, tenant)
    secrets = tuple(part for part in re.split(r"[\s,]+", environ.get(name, "")) if part)
    if len(secrets) > MOST_SECRETS:
        raise SettingInvalid(f"{name} holds {len(secrets)} secrets; keep the newest and the one before it")
    if not all(_is_secret(secret) for secret in secrets):
        raise SettingInvalid(
            f"{name} holds something that is no secret; make one with `pipeline hooks secret {workflow}`"
        )
    return secrets


def is_signed(body: bytes, headers: Mapping[str, str], secrets: Sequence[str]) -> bool:
    """Whether one of the secrets signed this body, with this id, within five minutes of now.

    Every secret is tried, so that the time it takes does not tell which one fits.
    """
    signature_headers = {name: headers.get(name, "") for name in HEADERS}
    tried = [_signed_with(secret, body, signature_headers) for secret in secrets]
    return any(tried)


def signed_headers(secret: str, event_id: str, now: datetime, body: bytes) -> dict[str, str]:
    """The headers with which a body is sent.

    Args:
        now: aware.
    """
    signature = Webhook(secret).sign(event_id, now, body.decode())
    values = (event_id, str(int(now.timestamp())), signature)
    return dict(zip(HEADERS, values, strict=True))


def _signed_with(secret: str, body: bytes, headers: dict[str, str]) -> bool:
    try:
        Webhook(secret).verify(body, headers, json_parse=False)
    except (WebhookVerificationError, ValueError):
        # ValueError: a body or a signature that is no text at all
        return False
    return True


def _is_secret(text: str) -> bool:
    try:
        plain = b64decode(text.removeprefix("whsec_"), validate=True)
    except ValueError:
        return False
    return text.startswith("whsec_") and SHORTEST <= len(plain) <= LONGEST
