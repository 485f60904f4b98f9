"""`ports.Files` on an object store: S3, Google Cloud Storage, Azure, and what speaks like them.

Credentials, region and endpoint come from the variables that the clouds' own tools read, as for the lake. An object is
written by one request, so it is there whole or not at all, and conditions are checked by the store itself.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pipeline_project.domain.core.errors import FileMissing, FilesRefused, FilesUnavailable, PipelineError
from pipeline_project.ports.files import Stamp
from resources.files.answers import store_answer
from resources.files.local import by_person
from resources.files.names import fixed_steps, hidden, safe, step_matches

if TYPE_CHECKING:
    from obstore.store import ObjectStore

#: So much is asked for in one request; more than this is fetched part by part.
PART_BYTES = 16 * 1024**2
#: Variables by which people allow stores without TLS, as delta-rs reads them too.
_PLAIN_HTTP = ("ALLOW_HTTP", "AWS_ALLOW_HTTP", "AZURE_ALLOW_HTTP", "AZURE_STORAGE_ALLOW_HTTP", "GOOGLE_ALLOW_HTTP")


@dataclass(frozen=True)
class Patience:
    """How long a store is waited for.

    Attributes:
        request_seconds: for one request, its answer included.
        retries: how often a request is sent again that failed with 5xx, was dropped or timed out, each time after a
            longer wait.
        longest_seconds: after which none is sent again.
        first_wait_seconds: before the first of them.
    """

    request_seconds: float = 60.0
    retries: int = 6
    longest_seconds: float = 120.0
    first_wait_seconds: float = 0.2


@dataclass(frozen=True)
class ObjectFiles:
    """The objects whose keys begin with a prefix.

    Attributes:
        url: `s3://bucket/prefix`, `gs://bucket/prefix` or `az://container/prefix`, without a slash at the end.
    """

    url: str
    patience: Patience = field(default_factory=Patience)

    def place(self, name: str) -> str:
        """As `ports.Files.place`."""
        return f"{self.url}/{_key(name)}"

    def read(self, name: str, most: int | None = None) -> bytes:
        """As `ports.Files.read`."""
        with self._asked(name, "read"):
            return b"".join(self._parts(name, most))

    @contextmanager
    def fetched(self, name: str) -> Iterator[Path]:
        """As `ports.Files.fetched`: a copy in the folder for temporary files, which goes when the block ends."""
        with tempfile.TemporaryDirectory(prefix="pipeline-") as folder:
            path = Path(folder) / name.rpartition("/")[2]
            with by_person(folder, "copy an object to"), path.open("wb") as copy, self._asked(name, "read"):
                for part in self._parts(name, None):
                    copy.write(part)
            yield path

    def write(self, name: str, content: str | bytes) -> None:
        """As `ports.Files.write`."""
        import obstore

        with self._asked(name, "write"):
            obstore.put(self._store(), _key(name), _bytes(content), use_multipart=False)

    def create(self, name: str, content: str | bytes) -> bool:
        """As `ports.Files.create`, by the store's own condition (`If-None-Match`)."""
        return self._put_if(name, _bytes(content), "create")

    def replace(self, name: str, content: bytes, stamp: Stamp) -> bool:
        """As `ports.Files.replace`, by the store's own condition (`If-Match`)."""
        return self._put_if(name, content, {"e_tag": str(stamp[1])})

    def stamp(self, name: str) -> Stamp | None:
        """As `ports.Files.stamp`: size and entity tag."""
        import obstore

        try:
            with self._asked(name, "look at"):
                return _stamp(obstore.head(self._store(), _key(name)))
        except FileMissing:
            return None

    def matching(self, pattern: str) -> Mapping[str, Stamp | None]:
        """As `ports.Files.matching`; asks for one level after the other, so that what lies deeper costs nothing."""
        steps = pattern.split("/")
        fixed = min(fixed_steps(pattern), len(steps) - 1)
        folders = ["/".join(steps[:fixed])]
        for step in steps[fixed:-1]:
            folders = [name for folder in folders for name in self._level(folder)[0] if _follows(name, step)]
        there = [
            (name, stamp)
            for folder in folders
            for name, stamp in self._level(folder)[1].items()
            if _follows(name, steps[-1]) and not hidden(name)
        ]
        return dict(sorted(there))

    def level(self, folder: str = "") -> tuple[list[str], list[str]]:
        """As `ports.Files.level`."""
        folders, files = self._level(folder)
        return sorted(folders), sorted(files)

    def delete(self, name: str) -> None:
        """As `ports.Files.delete`."""
        import obstore

        try:
            with self._asked(name, "delete"):
                obstore.delete(self._store(), _key(name))
        except FileMissing:
            return

    def _store(self) -> ObjectStore:
        return _opened(self.url, self.patience)

    def _parts(self, name: str, most: int | None) -> Iterator[bytes]:
        """The bytes of one writing: every part after the first names the entity tag of the first."""
        import obstore

        store, key = self._store(), _key(name)
        wanted = PART_BYTES if most is None else min(most, PART_BYTES)
        first = obstore.get(store, key)
        size, tag = int(first.meta["size"]), first.meta["e_tag"]
        end = size if most is None else min(size, most)
        if end <= wanted and end == size:
            yield self._whole(name, bytes(first.bytes()), size)
            return
        for start in range(0, end, PART_BYTES):
            asked = (start, min(start + PART_BYTES, end))
            options: dict[str, Any] = {"range": asked}
            if tag is not None:
                options["if_match"] = tag
            part = bytes(obstore.get(store, key, options=cast(Any, options)).bytes())
            yield self._whole(name, part, asked[1] - asked[0])

    def _whole(self, name: str, content: bytes, size: int) -> bytes:
        if len(content) != size:
            raise FilesUnavailable(
                f"{self.place(name)} came cut off: {len(content):,} of {size:,} bytes; run again, and deliver the file "
                "again if it stays so"
            )
        return content

    def _put_if(self, name: str, content: bytes, mode: Any) -> bool:
        import obstore
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        with self._asked(name, "write"):
            try:
                obstore.put(self._store(), _key(name), content, mode=mode, use_multipart=False)
            except (AlreadyExistsError, PreconditionError):
                # a request whose answer was lost is sent again, and then meets what it wrote itself
                return self._is(name, content)
            except FileNotFoundError:
                if mode != "create":
                    return False
                raise
        return True

    def _is(self, name: str, content: bytes) -> bool:
        try:
            return self.read(name, len(content) + 1) == content
        except FileMissing:
            return False

    def _level(self, folder: str) -> tuple[list[str], dict[str, Stamp]]:
        """The folders and the objects right below one, by their names."""
        import obstore

        with self._asked(folder, "list"):
            listed = obstore.list_with_delimiter(self._store(), folder or None)
        return list(listed["common_prefixes"]), {entry["path"]: _stamp(entry) for entry in listed["objects"]}

    @contextmanager
    def _asked(self, name: str, doing: str) -> Iterator[None]:
        """Turns what a store answers into an error that a person can act on; keys of objects are the only names in it.

        Raises:
            FileMissing, FilesRefused, FilesUnavailable: see `ports.Files`.
        """
        from obstore.exceptions import BaseError

        place = f"{self.url}/{name}" if name else self.url
        try:
            yield
        except (BaseError, FileNotFoundError, PermissionError) as error:
            raise _worded(error, place, doing) from error


def _worded(error: BaseException, place: str, doing: str) -> PipelineError:
    answer = store_answer(str(error))
    if isinstance(error, FileNotFoundError) and answer.error is not FilesRefused:
        return FileMissing(f"there is no object {place}; put it back, or correct the setting that names it")
    return answer.error(f"cannot {doing} {place}: {answer.advice}")


def _stamp(meta: Mapping[str, Any]) -> Stamp:
    # a store without entity tags at least says when
    return int(meta["size"]), str(meta["e_tag"] or meta["last_modified"].isoformat())


def _key(name: str) -> str:
    if not name.isprintable():
        raise ValueError("an object's name has no line break, tab or other sign that cannot be printed")
    return safe(name)


def _follows(name: str, pattern: str) -> bool:
    return step_matches(name.rpartition("/")[2], pattern)


def _bytes(content: str | bytes) -> bytes:
    return content.encode() if isinstance(content, str) else content


@lru_cache(maxsize=64)
def _opened(url: str, patience: Patience) -> ObjectStore:
    """The store behind a URL; one of them keeps its connections for all who ask. It must not be used before a fork."""
    from obstore.store import from_url

    plain = any(os.environ.get(name, "").lower() in ("1", "true", "yes") for name in _PLAIN_HTTP)
    return from_url(
        url,
        client_options={
            "timeout": timedelta(seconds=patience.request_seconds),
            "connect_timeout": timedelta(seconds=min(10.0, patience.request_seconds)),
            **({"allow_http": True} if plain else {}),
        },
        retry_config={
            "max_retries": patience.retries,
            "retry_timeout": timedelta(seconds=patience.longest_seconds),
            "backoff": {
                "init_backoff": timedelta(seconds=patience.first_wait_seconds),
                "max_backoff": timedelta(seconds=10),
                "base": 2,
            },
        },
    )


os.register_at_fork(after_in_child=_opened.cache_clear)
