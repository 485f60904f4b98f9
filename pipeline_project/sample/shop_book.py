"""The fake shop's book: every effect it ever had, one line of JSON each, on disk before anybody is told."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any


class Taking(StrEnum):
    """What the shop did with a request."""

    EFFECT = "effect"
    KNOWN = "known"
    OTHER_CONTENT = "other_content"


@dataclass
class Effect:
    """One thing the shop did.

    Attributes:
        number: its place in the book, from 1.
        digest: sha256 of the request's body.
        asked: how often it was asked for, the first time included.
    """

    number: int
    key: str
    digest: str
    at: datetime
    said: Mapping[str, Any]
    asked: int = 1

    def as_json(self) -> dict[str, Any]:
        return {
            "number": self.number,
            "key": self.key,
            "at": self.at.isoformat(),
            "asked": self.asked,
            "action": self.said.get("action"),
            "workflow": self.said.get("workflow"),
            "case": self.said.get("case"),
            "amount": self.said.get("amount", 0),
            "currency": self.said.get("currency"),
        }


@dataclass
class Book:
    """An append-only file. One process writes it; another one that tries is refused.

    Attributes:
        path: the file; made when missing.
        remembers_seconds: how long the same key is answered instead of acted upon again, as real shops do.
    """

    path: Path
    remembers_seconds: float = 24 * 3600.0
    _effects: list[Effect] = field(default_factory=list, repr=False)
    _newest: dict[str, Effect] = field(default_factory=dict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __post_init__(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self.path.open("ab+")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise BlockingIOError(f"another shop has {self.path} open; stop it first") from None
        self._read()

    def close(self) -> None:
        """Lets another shop have the book."""
        self._file.close()

    def take(self, key: str, body: bytes, now: datetime) -> tuple[Taking, Effect]:
        """Does what is asked, once per key as long as the key is remembered; on disk when it returns.

        Args:
            body: JSON of an object.
            now: aware.
        """
        digest = hashlib.sha256(body).hexdigest()
        with self._lock:
            earlier = self._newest.get(key)
            if earlier is not None and (now - earlier.at).total_seconds() < self.remembers_seconds:
                if earlier.digest != digest:
                    return Taking.OTHER_CONTENT, earlier
                earlier.asked += 1
                self._write({"again": earlier.number}, durable=False)
                return Taking.KNOWN, earlier
            effect = Effect(len(self._effects) + 1, key, digest, now.astimezone(UTC), json.loads(body))
            line = {"effect": effect.number, "key": key, "digest": digest, "at": effect.at.isoformat()}
            self._write({**line, "said": effect.said}, durable=True)
            self._add(effect)
            return Taking.EFFECT, effect

    def find(self, key: str) -> Effect | None:
        """The newest effect under a key, however long ago."""
        return self._newest.get(key)

    def effects(self, after: int = 0) -> list[Effect]:
        """Effects in the order in which they happened, those numbered up to `after` left out."""
        return self._effects[after:]

    def twice(self) -> list[str]:
        """Keys under which something happened more than once."""
        return [key for key, times in Counter(effect.key for effect in self.effects()).items() if times > 1]

    def _add(self, effect: Effect) -> None:
        self._effects.append(effect)
        self._newest[effect.key] = effect

    def _write(self, line: Mapping[str, Any], durable: bool) -> None:
        self._file.write(json.dumps(line, sort_keys=True).encode() + b"\n")
        self._file.flush()
        if durable:
            os.fsync(self._file.fileno())

    def _read(self) -> None:
        self._file.seek(0)
        whole = 0
        for line in self._file:
            if not line.endswith(b"\n"):
                # the shop died while it wrote: nobody was told, so it has not happened
                break
            whole += len(line)
            entry = json.loads(line)
            if "again" in entry:
                self._effects[entry["again"] - 1].asked += 1
            else:
                at = datetime.fromisoformat(entry["at"])
                self._add(Effect(entry["effect"], entry["key"], entry["digest"], at, entry["said"]))
        self._file.truncate(whole)
        self._file.seek(0, os.SEEK_END)
