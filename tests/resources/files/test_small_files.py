"""Small files are there whole or not at all, whatever happens while they are written; one that is not stops nobody."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import pipeline_project
from resources.files.small_files import ASIDE, made_once, read_object, set_aside, write_whole

ROOT = Path(pipeline_project.__file__).parent.parent
#: Where a file is written in another way, with the reason.
OTHERWISE = {
    "resources/files/small_files.py": "the one way",
    "pipeline_project/serving/home_lock.py": "the lock's own file: a rename would take the lock away",
    "pipeline_project/sample/files.py": "photos of the sample, whose table comes last",
    "pipeline_project/sample/shop_book.py": "the fake shop's book: lines are appended, and a torn end is known",
    "pipeline_project/commands/shared/orphans.py": "a lock",
    "resources/destinations/file_drop.py": "a destination: other people's folder, linked into place",
    "resources/files/objects.py": "a copy of an object, in a folder of its own that is thrown away",
    "resources/files/trees.py": "files of a backup, larger than memory: in parts under another name first",
    "resources/ledger/audit/checkpoint_file.py": "lines are appended under a lock, and a torn end is known",
    "resources/postgres/embedded.py": "locks, and a program's log",
}


def fails(*_: Any, **__: Any) -> Any:
    raise OSError(28, "No space left on device")


def test_a_file_is_written_whole_with_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    assert write_whole(path, "ä")
    assert path.read_bytes() == "ä".encode()
    assert path.stat().st_mode & 0o777 == 0o644
    assert write_whole(path, b"key", 0o600)
    assert path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["page.html"]


def test_a_file_that_is_made_once_stays(tmp_path: Path) -> None:
    path = tmp_path / "key"
    assert write_whole(path, "first", replace=False)
    assert not write_whole(path, "second", replace=False)
    assert path.read_text() == "first"
    assert [each.name for each in tmp_path.iterdir()] == ["key"]


@pytest.mark.parametrize("step", ["fsync", "fchmod"])
@pytest.mark.parametrize("replace", [True, False])
def test_a_disk_that_is_full_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, replace: bool
) -> None:
    path = tmp_path / "page.html"
    if replace:
        write_whole(path, "old")
    before = sorted(tmp_path.iterdir())
    monkeypatch.setattr(os, step, fails)
    with pytest.raises(OSError, match="No space"):
        write_whole(path, "new", replace=replace)
    assert sorted(tmp_path.iterdir()) == before
    assert not replace or path.read_text() == "old"


def test_the_content_is_on_the_disk_before_its_name_and_the_name_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    sync, rename = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (done.append("sync"), sync(handle))[1])
    monkeypatch.setattr(Path, "replace", lambda path, target: (done.append("rename"), rename(path, target))[1])
    write_whole(tmp_path / "page.html", "x")
    assert done == ["sync", "rename", "sync"]


@pytest.mark.parametrize(
    "content", [b"", b" ", b"{", b'{"a": ', b"[1]", b"null", b"\xff\xfe", b"\x00" * 40, b"[" * 100_000]
)
def test_what_is_no_whole_object_is_none_at_all(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "line.json"
    path.write_bytes(content)
    assert read_object(path) is None
    assert read_object(tmp_path / "missing.json") is None
    assert read_object(tmp_path) is None


def test_what_is_set_aside_can_still_be_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "line.json"
    path.write_text("half")
    assert set_aside(path).read_text() == "half"
    assert not path.exists()
    assert set_aside(path).name == f"line.json{ASIDE}"


#: Ways to write a file at its place, or by a temporary name of one's own.
_WRITES: Callable[[str], Any] = re.compile(
    r"\.write_(?:text|bytes)\(|\bopen\([^)\n]*[\"'][wax]b?\+?[\"']|os\.O_CREAT|mkstemp\(|copyfile\("
).search


def test_every_small_file_of_the_house_is_written_in_the_one_way() -> None:
    found = {
        str(path.relative_to(ROOT))
        for room in ("pipeline_project", "resources", "assets")
        for path in sorted((ROOT / room).rglob("*.py"))
        if _WRITES(path.read_text(encoding="utf-8"))
    }
    assert sorted(found - set(OTHERWISE)) == []
    assert sorted(set(OTHERWISE) - found) == []


@pytest.mark.parametrize("left", ["", "abc"])
def test_the_desks_secret_is_never_empty_or_half(tmp_path: Path, left: str) -> None:
    from pipeline_project.container.desk import desk_secret

    (tmp_path / "desk.secret").write_text(left)
    made = desk_secret(tmp_path)
    assert len(made) >= 48
    assert desk_secret(tmp_path) == made
    assert (tmp_path / "desk.secret").stat().st_mode & 0o777 == 0o600


def test_a_secret_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "a.key"
    assert made_once(path, lambda: b"first") == b"first"
    assert made_once(path, fails) == b"first"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_of_many_that_make_a_secret_at_once_all_read_the_same(tmp_path: Path) -> None:
    """All of them find no file and make a key of their own before anybody writes."""
    path, together = tmp_path / "a.key", threading.Barrier(8)

    def new_key() -> bytes:
        together.wait()
        return os.urandom(32)

    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _: made_once(path, new_key), range(8)))
    assert found == {path.read_bytes()}
    assert [each.name for each in tmp_path.iterdir()] == ["a.key"]


def test_a_secret_that_cannot_be_written_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(OSError, match="No space left"):
        made_once(tmp_path / "a.key", lambda: b"key")
    assert list(tmp_path.iterdir()) == []


def test_secrets_are_made_in_no_other_way() -> None:
    """A file of this machine that stays where it is there is a secret."""
    once = re.compile(r"write_whole\(.*replace=False")
    rooms = [path for room in ("assets", "pipeline_project", "resources") for path in (ROOT / room).rglob("*.py")]
    found = {str(path.relative_to(ROOT)) for path in rooms if once.search(path.read_text())}
    assert found == {"resources/files/small_files.py"}
