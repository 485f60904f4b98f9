"""Subjects' keys as they stand in the ledger: found, made and wrapped again in bulk."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, AESSIV
from sqlalchemy import ARRAY, Connection, Integer, LargeBinary, Row, Text, bindparam, text

from pipeline_project.domain.core.errors import KeysUnusable, SealBroken
from pipeline_project.domain.privacy.seal import NOBODY, Sealed, packed, token_of, unpacked
from resources.keys.masters import Masters
from resources.postgres.locks import SUBJECT_KEYS

#: AES-256 in its deterministic, misuse-resistant mode takes a double key.
_KEY_BYTES, _NONCE = 64, 12
#: The column under which a subject's own id is sealed.
ID = "subject id"

_FIND = text("SELECT pseudonym, wrapped_key, master FROM subject_keys WHERE pseudonym = ANY(:names)").bindparams(
    bindparam("names", type_=ARRAY(Text))
)
_MAKE = text(
    "INSERT INTO subject_keys (pseudonym, wrapped_key, master, sealed_id) "
    "SELECT * FROM unnest(:names, :keys, :masters, :ids) ORDER BY 1 ON CONFLICT (pseudonym) DO NOTHING"
).bindparams(
    bindparam("names", type_=ARRAY(Text)),
    bindparam("keys", type_=ARRAY(LargeBinary)),
    bindparam("masters", type_=ARRAY(Integer)),
    bindparam("ids", type_=ARRAY(Text)),
)
_REWRAP = text(
    "UPDATE subject_keys AS k SET wrapped_key = n.key, master = :master FROM unnest(:names, :keys) AS n(name, key) "
    "WHERE k.pseudonym = n.name AND k.wrapped_key IS NOT NULL"
).bindparams(bindparam("names", type_=ARRAY(Text)), bindparam("keys", type_=ARRAY(LargeBinary)))


@dataclass(frozen=True)
class SubjectKeys:
    """Ciphers by pseudonym, as known in one transaction; None for who was forgotten."""

    ciphers: Mapping[str, AESSIV | None]

    def seal(self, pseudonym: str, column: str, value: str) -> str | None:
        """A token; the same for the same value. None where the subject was forgotten."""
        cipher = self.ciphers[pseudonym]
        return None if cipher is None else _sealed(cipher, pseudonym, column, value)

    def open(self, sealed: Sealed) -> tuple[str, str] | None:
        """Column and value; None where the subject was forgotten, or never had a key.

        Raises:
            SealBroken: the token was changed.
        """
        cipher = self.ciphers.get(sealed.pseudonym)
        if cipher is None:
            return None
        try:
            return unpacked(cipher.decrypt(sealed.content, [sealed.pseudonym.encode()]))
        except (InvalidTag, ValueError):
            raise SealBroken(
                "a sealed value does not fit its subject's key: it was changed, or comes from another ledger; "
                "restore lake and ledger from the same backup"
            ) from None


def find(connection: Connection, masters: Masters, pseudonyms: Iterable[str]) -> SubjectKeys:
    """The keys of these subjects; who has none is not in it.

    Raises:
        KeysUnusable: a master key is missing or holds no key.
    """
    names = {"names": sorted(set(pseudonyms))}
    rows = connection.execute(_FIND, names).all()
    try:
        return _opened(rows, masters)
    except KeysUnusable:
        # A master goes once another one wraps its keys, which may be between the row that names it and its file.
        SUBJECT_KEYS.share(connection)
        return _opened(connection.execute(_FIND, names).all(), masters)


def _opened(rows: Sequence[Row], masters: Masters) -> SubjectKeys:
    wrapping = {number: AESGCM(masters.key(number)) for number in {row.master for row in rows if row.wrapped_key}}
    return SubjectKeys(
        {
            row.pseudonym: None if row.wrapped_key is None else AESSIV(_unwrapped(row, wrapping[row.master]))
            for row in rows
        }
    )


def find_or_make(connection: Connection, masters: Masters, ids: Mapping[str, str | None]) -> SubjectKeys:
    """The keys of these subjects, made for those who never had one; who was forgotten gets none again.

    Args:
        ids: pseudonym to the subject's own id, where it is known.
    """
    existing = find(connection, masters, ids)
    missing = sorted(ids.keys() - existing.ciphers.keys())
    if not missing:
        return existing
    # a master that is on its way out wraps nothing new
    SUBJECT_KEYS.share(connection)
    number, master = masters.newest(may_make=is_empty(connection))
    wrapping, keys = AESGCM(master), [os.urandom(_KEY_BYTES) for _ in missing]
    named = [(name, AESSIV(key), ids[name]) for name, key in zip(missing, keys, strict=True)]
    connection.execute(
        _MAKE,
        {
            "names": missing,
            "keys": [_wrapped(wrapping, name, key) for name, key in zip(missing, keys, strict=True)],
            "masters": [number] * len(missing),
            "ids": [None if own is None else _sealed(cipher, name, ID, own) for name, cipher, own in named],
        },
    )
    # of two who made one at once the first stands: what counts is what is there now
    made = find(connection, masters, missing)
    return SubjectKeys({**existing.ciphers, **made.ciphers})


def rewrap(connection: Connection, masters: Masters, number: int) -> int:
    """Wraps every key by one master; returns how many another one wrapped. Take `SUBJECT_KEYS` first."""
    rows = connection.execute(
        text("SELECT pseudonym, wrapped_key, master FROM subject_keys WHERE wrapped_key IS NOT NULL AND master <> :n"),
        {"n": number},
    ).all()
    wrapping = {old: AESGCM(masters.key(old)) for old in {row.master for row in rows}}
    new = AESGCM(masters.key(number))
    keys = [_wrapped(new, row.pseudonym, _unwrapped(row, wrapping[row.master])) for row in rows]
    connection.execute(_REWRAP, {"names": [row.pseudonym for row in rows], "keys": keys, "master": number})
    return len(rows)


def is_empty(connection: Connection) -> bool:
    """Whether no subject ever had a key."""
    return connection.scalar(text("SELECT 1 FROM subject_keys LIMIT 1")) is None


def somebody(connection: Connection) -> str | None:
    """Any one pseudonym."""
    pseudonym = connection.scalar(
        text("SELECT pseudonym FROM subject_keys WHERE pseudonym <> :nobody LIMIT 1"), {"nobody": NOBODY}
    )
    return None if pseudonym is None else str(pseudonym)


def _sealed(cipher: AESSIV, pseudonym: str, column: str, value: str) -> str:
    return token_of(pseudonym, cipher.encrypt(packed(column, value), [pseudonym.encode()]))


def _wrapped(master: AESGCM, pseudonym: str, key: bytes) -> bytes:
    nonce = os.urandom(_NONCE)
    return nonce + master.encrypt(nonce, key, pseudonym.encode())


def _unwrapped(row: object, master: AESGCM) -> bytes:
    wrapped, name, number = bytes(row.wrapped_key), str(row.pseudonym), row.master  # type: ignore[attr-defined]
    try:
        return master.decrypt(wrapped[:_NONCE], wrapped[_NONCE:], name.encode())
    except InvalidTag:
        raise KeysUnusable(
            f"subject-master-{number}.key is not the key that wrapped the ledger's subjects; put the right one back "
            "from your backup of the keys"
        ) from None
