"""Files behind a URL: a folder and an object store promise the same, and each error tells a person what to do."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline_project.domain.core.errors import FileMissing, FilesRefused, FilesUnavailable, waits_for_a_person
from pipeline_project.domain.core.locations import is_url
from pipeline_project.ports.files import Files
from resources.files import files_at
from resources.files import objects as object_files
from resources.files.objects import ObjectFiles, Patience
from resources.files.probing import keeps_conditions
from tests.s3_server import S3Server, cut_off, first, refusing

#: Tried again twice, at once.
HASTY = Patience(request_seconds=2, retries=2, longest_seconds=4, first_wait_seconds=0.01)


@pytest.fixture(params=["folder", "store"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> Files:
    if request.param == "folder":
        return files_at(tmp_path / "house")
    return files_at(f"{request.getfixturevalue('s3').bucket()}/house/")


@pytest.fixture
def store(s3: S3Server) -> ObjectFiles:
    return ObjectFiles(s3.bucket(), HASTY)


NAMES = ("a/b c.txt", "ü/ß.jpg", "a#b%41.jpg", "x~y.jpg", "q?r*[1].jpg", "100%.jpg")


@pytest.mark.parametrize("name", NAMES)
def test_a_file_is_read_as_it_was_written_whatever_its_name(files: Files, name: str) -> None:
    files.write(name, "words")
    assert files.read(name) == b"words" and files.read(name, 2) == b"wo"
    with files.fetched(name) as path:
        assert path.read_bytes() == b"words"
    assert files.place(name) == f"{files.url}/{name}"
    files.write(name, b"")
    assert files.read(name) == b""
    files.delete(name)
    files.delete(name)
    assert files.stamp(name) is None
    with pytest.raises(FileMissing, match="put it back"):
        files.read(name)
    if is_url(files.url):
        with pytest.raises(FileMissing, match="put it back"), files.fetched(name):
            raise AssertionError("nothing was there to be fetched")


@pytest.mark.parametrize("name", ["", "..", "a/../b", "/etc/passwd", "a//b", "a/", "./a", "a\0b"])
def test_a_name_leads_nowhere_else(files: Files, name: str) -> None:
    for use in (files.read, files.place, files.stamp, files.delete, lambda name: files.write(name, b"")):
        with pytest.raises(ValueError, match=r"a file's name|cannot be printed"):
            use(name)


def test_a_copy_is_gone_when_its_block_ends_and_a_file_is_not(files: Files) -> None:
    files.write("a.txt", "words")
    with files.fetched("a.txt") as path:
        pass
    assert path.exists() is not is_url(files.url) and files.read("a.txt") == b"words"


def test_of_writers_at_once_one_creates(files: Files) -> None:
    won: list[int] = []

    def create(number: int) -> None:
        if files.create("once.key", f"key of {number}"):
            won.append(number)

    writers = [threading.Thread(target=create, args=(number,)) for number in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert files.read("once.key") == f"key of {won[0]}".encode() and len(won) == 1


def test_only_the_writing_that_was_looked_at_is_replaced(files: Files) -> None:
    files.write("lines", b"1\n")
    stamp = files.stamp("lines")
    assert stamp is not None and stamp[0] == 2
    assert files.replace("lines", b"1\n2\n", stamp)
    assert not files.replace("lines", b"1\nother\n", stamp)
    assert files.read("lines") == b"1\n2\n"
    files.delete("lines")
    assert not files.replace("lines", b"anew", stamp) and files.stamp("lines") is None


def test_a_stamp_changes_with_the_content(files: Files) -> None:
    files.write("a", b"one")
    before = files.stamp("a")
    assert files.stamp("a") == before
    files.write("a", b"two")
    assert files.stamp("a") != before


def test_files_are_matched_step_by_step(files: Files) -> None:
    of_nights = ("2025-03-05/a.csv", "2025-03-05/b.json", "2025-03-05/deep/a.csv", "2025-03-06/a.csv")
    for name in (*of_nights, "2025-03-06/.a.csv.part", "a.csv"):
        files.write(f"n/{name}", name)
    files.write("other/2025-03-05/a.csv", "")
    assert list(files.matching("n/*/*.csv")) == ["n/2025-03-05/a.csv", "n/2025-03-06/a.csv"]
    assert list(files.matching("n/2025-03-0?/a.csv")) == ["n/2025-03-05/a.csv", "n/2025-03-06/a.csv"]
    assert list(files.matching("n/2025-03-05/a.csv")) == ["n/2025-03-05/a.csv"]
    assert list(files.matching("*/a.csv")) == ["n/a.csv"]
    assert files.matching("nothing/*") == {} and files_at(f"{files.url}/nothing").level() == ([], [])
    assert files.level() == (["n", "other"], [])
    assert files.level("n") == (["n/2025-03-05", "n/2025-03-06"], ["n/a.csv"])
    seen = files.matching("n/*/a.csv")
    assert all(stamp in (None, files.stamp(name)) for name, stamp in seen.items())


def test_what_lies_below_the_asked_level_is_not_listed(s3: S3Server) -> None:
    files = files_at(s3.bucket())
    for number in range(5):
        files.write(f"claims/photos/{number}.jpg", b"photo")
    files.write("claims/2025-03-05.csv", b"x")
    s3.asked.clear()
    assert list(files.matching("claims/*.csv")) == ["claims/2025-03-05.csv"]
    assert len(s3.asked) == 1


def test_a_large_object_is_read_in_parts_of_one_writing(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_files, "PART_BYTES", 1_000)
    files = files_at(s3.bucket())
    old, new = b"old" * 1_000, b"new" * 1_000
    files.write("large", old)
    assert files.read("large") == old and files.read("large", 1_500) == old[:1_500]
    asked = s3.asked.count(("GET", f"/{files.url.removeprefix('s3://')}/large"))
    assert asked >= 5

    def replaced(request: dict[str, object], start: Callable[..., object]) -> None:
        # somebody delivers the file anew after its first part was read
        if "bytes=1000-" in str(request.get("HTTP_RANGE", "")):
            s3.fault = None
            files.write("large", new)

    s3.fault = replaced
    with pytest.raises(FilesUnavailable, match="replaced it meanwhile; run again"):
        files.read("large")
    assert files.read("large") == new


REFUSALS = [
    ("403 Forbidden", "AccessDenied", FilesRefused, "may not .403 AccessDenied.; grant"),
    ("400 Bad Request", "ExpiredToken", FilesRefused, "have expired.*renew"),
    ("403 Forbidden", "RequestTimeTooSkewed", FilesRefused, "this machine's clock and the store's are too far apart"),
    ("403 Forbidden", "InvalidAccessKeyId", FilesRefused, "does not know these credentials"),
    ("404 Not Found", "NoSuchBucket", FilesRefused, "no such bucket; make it"),
    ("404 Not Found", "NoSuchKey", FileMissing, "there is no object.*put it back"),
    ("503 Slow Down", "SlowDown", FilesUnavailable, "come back later.*run again"),
    ("507 Insufficient Storage", "XMinioStorageFull", FilesUnavailable, "no room is left.*quota"),
    ("500 Internal Server Error", "InternalError", FilesUnavailable, "answered 500 InternalError"),
]


@pytest.mark.parametrize(("status", "code", "error", "words"), REFUSALS)
def test_what_a_store_refuses_says_what_to_do(
    store: ObjectFiles, s3: S3Server, status: str, code: str, error: type[Exception], words: str
) -> None:
    s3.fault = refusing(status, code)
    with pytest.raises(error, match=words) as told:
        store.read("a.txt")
    assert "Debug source" not in str(told.value) and f"{store.url}/a.txt" in str(told.value)
    assert waits_for_a_person(error.__name__) is (error is not FilesUnavailable)


def test_expired_credentials_are_told_where_an_answer_has_no_body(store: ObjectFiles, s3: S3Server) -> None:
    s3.fault = refusing("400 Bad Request", "ExpiredToken")
    with pytest.raises(FilesRefused, match="most often the credentials have expired"):
        store.stamp("a.txt")


def test_a_store_that_fails_for_a_while_is_asked_again(store: ObjectFiles, s3: S3Server) -> None:
    s3.fault = first(2, refusing("503 Slow Down", "SlowDown"))
    store.write("a.txt", b"words")
    s3.fault = first(1, refusing("500 Internal Server Error"))
    assert store.read("a.txt") == b"words"
    s3.asked.clear()
    s3.fault = refusing("503 Slow Down", "SlowDown")
    with pytest.raises(FilesUnavailable):
        store.read("a.txt")
    assert len(s3.asked) == 1 + HASTY.retries


def test_a_create_whose_answer_was_lost_is_ours(store: ObjectFiles, s3: S3Server) -> None:
    """The store took it, the answer was lost, and the second request met what the first had written."""

    def lost(request: dict[str, object], start: Callable[..., object]) -> list[bytes] | None:
        s3.fault = None
        list(s3._store(request, lambda *_: None))
        start("503 Slow Down", [("Content-Length", "0")])
        return [b""]

    s3.fault = lost
    assert store.create("once.key", b"mine")
    assert store.read("once.key") == b"mine" and not store.create("once.key", b"other")


def test_an_object_that_comes_cut_off_is_an_error(store: ObjectFiles, s3: S3Server) -> None:
    s3.fault = cut_off(100, b"half")
    with pytest.raises(FilesUnavailable, match="did not answer whole"):
        store.read("a.txt")
    with pytest.raises(FilesUnavailable, match="did not answer whole"), store.fetched("a.txt"):
        raise AssertionError("half a file was handed out")


def test_a_store_slower_than_the_timeout_is_not_waited_for(s3: S3Server) -> None:
    go_on = threading.Event()

    def slow(request: dict[str, object], start: Callable[..., object]) -> None:
        go_on.wait(10)

    s3.fault = slow
    store = ObjectFiles("s3://slow", Patience(0.2, 1, 0.5, 0.01))
    try:
        with pytest.raises(FilesUnavailable, match="in time, several times"):
            store.read("a.txt")
    finally:
        go_on.set()


def test_a_full_disk_is_told_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    files = files_at(tmp_path)
    monkeypatch.setattr("resources.files.local.write_whole", full)
    with pytest.raises(FilesUnavailable, match=r"no room is left .No space left on device.; free some"):
        files.write("a", b"x")


def test_a_full_disk_of_this_machine_is_told_when_an_object_is_copied(
    store: ObjectFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.write("a.txt", b"words")

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(FilesUnavailable, match=r"copy an object to .*: no room is left"), store.fetched("a.txt"):
        raise AssertionError("there was no room for a copy")


def test_a_folder_that_may_not_be_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", denied)
    with pytest.raises(FilesRefused, match="this user may not"):
        files_at(tmp_path / "house").write("a", b"x")


@pytest.mark.parametrize(
    "url", ["s3://bucket/a", "gs://bucket", "az://container/b", "abfss://c@a.dfs.core.windows.net/b"]
)
def test_object_stores_are_told_from_folders(url: str) -> None:
    assert is_url(url) and isinstance(files_at(url), ObjectFiles)


@pytest.mark.parametrize("path", ["/srv/house", "house", "C:/house", "http://host/x", "s3:/bucket"])
def test_everything_else_is_a_folder(path: str) -> None:
    assert not is_url(path)


def test_a_store_is_opened_with_the_patience_it_was_given(s3: S3Server) -> None:
    opened: Any = object_files._opened(s3.bucket(), Patience(request_seconds=7, retries=3))
    assert opened.client_options["timeout"] == "7s" and opened.retry_config["max_retries"] == 3


def test_a_place_that_keeps_its_promises_is_told_from_one_that_does_not(files: Files, s3: S3Server) -> None:
    assert keeps_conditions(files)
    assert files.level() == ([], []), "nothing is left behind"

    def careless(request: dict[str, Any], start: Callable[..., Any]) -> None:
        for condition in ("HTTP_IF_NONE_MATCH", "HTTP_IF_MATCH"):
            request.pop(condition, None)

    s3.fault = careless
    assert keeps_conditions(files) is not is_url(files.url)
