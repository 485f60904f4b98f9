"""What an object store's refusal means for a person, by its status and its own code, whichever library hands it on."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pipeline_project.domain.core.errors import FileMissing, FilesRefused, FilesUnavailable, PipelineError

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_STATUS = re.compile(r"status code:? (\d{3})")
_CODE = re.compile(r"<Code>(\w+)</Code>")
_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "RequestExpired"}
_CLOCK = "RequestTimeTooSkewed"
_UNKNOWN_KEY = {"InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "AuthenticationFailed"}
_FULL = {"QuotaExceeded", "InsufficientStorage", "XMinioStorageFull"}


@dataclass(frozen=True)
class StoreAnswer:
    """A refusal in words.

    Attributes:
        error: what it is to whoever asked for a file.
        advice: what it was, and what to do.
    """

    error: type[PipelineError]
    advice: str


def is_refusal(message: str) -> bool:
    """Whether a message speaks of a request that a store refused or did not answer, and not of what it gave."""
    plain = " ".join(_COLOURS.sub("", message).replace("↳", " ").split())
    return bool(_STATUS.search(plain)) or "Error performing" in plain or "error sending request" in plain


def store_answer(message: str) -> StoreAnswer:
    """What the message of object_store is about, or of delta-rs, which breaks it at its colons and colours it."""
    plain = " ".join(_COLOURS.sub("", message).replace("↳", " ").split())
    status = match[1] if (match := _STATUS.search(plain)) else ""
    code = match[1] if (match := _CODE.search(plain)) else ""
    answer = " ".join(part for part in (status, code) if part)
    if code == _CLOCK:
        return StoreAnswer(
            FilesRefused,
            f"this machine's clock and the store's are too far apart ({answer}); set this machine's right (chrony, "
            "systemd-timesyncd), then run again",
        )
    if code in _EXPIRED:
        return StoreAnswer(
            FilesRefused,
            f"the credentials have expired ({answer}); renew them where the process gets them from, restart it, then "
            "run again",
        )
    if code in _UNKNOWN_KEY or status == "401":
        return StoreAnswer(
            FilesRefused,
            f"the store does not know these credentials ({answer}); set those of the store (AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, GOOGLE_APPLICATION_CREDENTIALS, or AZURE_STORAGE_...)",
        )
    if status == "400" and not code:
        # what S3 answers to an expired token where an answer has no body
        return StoreAnswer(
            FilesRefused,
            "the store gives no reason (400): most often the credentials have expired, or region or endpoint are "
            "wrong; renew or correct them, restart the process, then run again",
        )
    if status == "403":
        return StoreAnswer(
            FilesRefused,
            f"these credentials may not ({answer}); grant their role the right to list, read, write and delete below "
            "this prefix",
        )
    if code == "NoSuchBucket":
        return StoreAnswer(FilesRefused, "there is no such bucket; make it, or correct the URL")
    if status == "404":
        return StoreAnswer(FileMissing, "it is not there; put it back, or correct the setting that names it")
    return StoreAnswer(FilesUnavailable, _passing(status, code, answer))


def _passing(status: str, code: str, answer: str) -> str:
    if code in _FULL or status == "507":
        return f"no room is left ({answer}); raise the quota, then run again"
    if status == "412":
        return "somebody replaced it meanwhile; run again"
    if status in ("429", "503"):
        return (
            f"the store asks to come back later ({answer}), which was tried several times; run again when it has "
            "recovered"
        )
    if not status:
        return (
            "the store did not answer whole and in time, several times; check the URL, the network and the store's "
            "health, then run again"
        )
    return f"the store answered {answer}; check the URL, the region and the endpoint, then run again"
