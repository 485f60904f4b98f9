"""Cases, outcomes, photos and repairs behind an object store's URL are those of a folder with the same files."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from pipeline_project.domain.core.errors import FilesRefused, FilesUnavailable, PhotoUnreadable, SourceUnreadable
from pipeline_project.domain.core.nights import window_of
from pipeline_project.ports.files import Files
from pipeline_project.settings import Settings
from pipeline_project.spec import WorkflowSpec
from resources.files import files_at
from resources.sources import add_repair, case_source, everything_landed, outcome_source, photo_source
from resources.sources.overlooked import overlooked
from resources.sources.places import location, place
from tests.resources.sources.claim_specs import HEADER, NIGHT, WINDOW, claims, row, write
from tests.s3_server import S3Server, cut_off, refusing

OUTCOMES = "claim_id,finding,seen_at"
NEXT = "2025-03-02"


@pytest.fixture
def bucket(s3: S3Server) -> Files:
    return files_at(f"{s3.bucket()}/shop")


@pytest.fixture
def settings(tmp_path: Path, bucket: Files) -> Settings:
    return Settings(home=tmp_path / "home", repairs=f"{bucket.url}-repairs")


def behind(bucket: Files, folder: Path, **changes: Any) -> WorkflowSpec:
    """The workflow whose cases and outcomes lie in the bucket."""
    local = claims(folder)
    source = {"kind": "files", "folder": "${PIPELINE_SOURCE_SHOP}/in", "pattern": "{night}/*.csv*"}
    outcome = {**local.outcome.model_dump(), "folder": "${PIPELINE_SOURCE_SHOP}/in"}
    return claims(folder, **{"source": source, "outcome": outcome, **changes})


def deliver(bucket: Files, folder: Path) -> dict[str, str]:
    """Puts what lies in the folder into the bucket; returns the variables that say where it is."""
    for path in sorted((folder / "in").rglob("*")):
        if path.is_file():
            bucket.write(f"in/{path.relative_to(folder / 'in').as_posix()}", path.read_bytes())
    return {"PIPELINE_SOURCE_SHOP": bucket.url}


def test_cases_and_outcomes_are_those_of_the_folder(tmp_path: Path, settings: Settings, bucket: Files) -> None:
    write(tmp_path, row(1), row(2, price="ten"), name=f"{NIGHT}/a.csv")
    write(tmp_path, row(3), name=f"{NIGHT}/b.csv.gz")
    write(tmp_path, "C1,K,2025-03-01 09:00", "C2,eaten,2025-03-01", name=f"outcomes/{NIGHT}.csv", header=OUTCOMES)
    environ = deliver(bucket, tmp_path)
    bucket.write(f"in/{NIGHT}/.c.csv.part", b"being written")
    spec = behind(bucket, tmp_path)
    theirs, ours = case_source(claims(tmp_path), settings, {}), case_source(spec, settings, environ)
    assert ours.read(WINDOW).rows.equals(theirs.read(WINDOW).rows)
    assert ours.read(WINDOW).readings == theirs.read(WINDOW).readings
    assert ours.places() == (f"{bucket.url}/in/{{night}}/*.csv*",)
    told, as_told = (
        outcome_source(spec, settings, environ).read(WINDOW),
        outcome_source(claims(tmp_path), settings, {}).read(WINDOW),
    )
    assert told.rows.equals(as_told.rows) and told.problems == as_told.problems


def test_a_table_is_that_of_the_folder_and_is_fetched_once(
    tmp_path: Path, settings: Settings, bucket: Files, s3: S3Server
) -> None:
    write(tmp_path, "C1,2025-03-01T23:59:59,1,shoes,,", "C3,2025-03-02,1,shoes,,", name="all.csv")
    environ = deliver(bucket, tmp_path)
    table = {"kind": "table", "files": [{"path": "${PIPELINE_SOURCE_SHOP}/in/all.csv"}]}
    source = case_source(behind(bucket, tmp_path, source=table), settings, environ)
    assert source.nights_landed() == [NIGHT, NEXT]
    s3.asked.clear()
    before = source.fingerprint(WINDOW)
    assert source.read(WINDOW).rows.num_rows == 1 and source.read(window_of(NEXT, "Europe/Berlin")).rows.num_rows == 1
    assert [method for method, path in s3.asked if path.endswith("all.csv")] == ["HEAD"] * 3, (
        "looked at, not read again"
    )
    bucket.write("in/all.csv", f"{HEADER}\n{row(1)}\n{row(2)}\n")
    assert source.fingerprint(WINDOW) != before
    bucket.delete("in/all.csv")
    with pytest.raises(SourceUnreadable, match=r"there is no file s3://.*all\.csv; put it there"):
        source.read(WINDOW)


def test_a_night_that_nothing_came_for_is_empty_and_a_wrong_prefix_is_an_error(
    tmp_path: Path, settings: Settings, bucket: Files
) -> None:
    environ = {"PIPELINE_SOURCE_SHOP": bucket.url}
    source = case_source(behind(bucket, tmp_path), settings, environ)
    with pytest.raises(SourceUnreadable, match=r"there is no folder s3://.*/in; create or mount it"):
        source.read(WINDOW)
    bucket.write(f"in/{NEXT}/a.csv", f"{HEADER}\n")
    assert source.read(WINDOW).rows.num_rows == 0


def test_a_tick_asks_once_for_all_nights_and_sees_what_landed(
    tmp_path: Path, settings: Settings, bucket: Files, s3: S3Server
) -> None:
    flat = {"kind": "files", "folder": "${PIPELINE_SOURCE_SHOP}/in", "pattern": "{night}.csv"}
    nights = [f"2025-03-{day:02}" for day in range(1, 21)]
    for night in nights:
        bucket.write(f"in/{night}.csv", f"{HEADER}\n")
    environ = {"PIPELINE_SOURCE_SHOP": bucket.url}

    def tick() -> dict[str, str]:
        source = case_source(behind(bucket, tmp_path, source=flat), settings, environ)
        return {night: source.fingerprint(window_of(night, "Europe/Berlin")) for night in source.nights_landed()}

    s3.asked.clear()
    before = tick()
    assert list(before) == nights and len(set(before.values())) == len(nights)
    assert len(s3.asked) == 2, "one list of the files, one of the repairs"
    source = case_source(behind(bucket, tmp_path, source=flat), settings, environ)
    assert source.fingerprint(WINDOW) == before[NIGHT], "asked alone, by a run, it is the same"
    bucket.write(f"in/{NIGHT}.csv", f"{HEADER}\n{row(1)}\n")
    after = tick()
    assert [night for night in nights if after[night] != before[night]] == [NIGHT]


def test_an_outcome_or_a_repair_brings_its_night_back(tmp_path: Path, settings: Settings, bucket: Files) -> None:
    bucket.write(f"in/{NIGHT}/a.csv", f"{HEADER}\n{row(1, price='ten')}\n")
    spec, environ = behind(bucket, tmp_path), {"PIPELINE_SOURCE_SHOP": bucket.url}

    def fingerprint() -> str:
        return everything_landed(spec, settings, environ).fingerprint(WINDOW)

    prints = [fingerprint()]
    bucket.write(f"in/outcomes/{NIGHT}.csv", f"{OUTCOMES}\n")
    prints.append(fingerprint())
    corrected = tmp_path / "corrected.csv"
    corrected.write_text(f"{HEADER}\n{row(1)}\n")
    kept = add_repair(settings, spec, NIGHT, corrected)
    prints.append(fingerprint())
    assert len(set(prints)) == 3
    rows = case_source(spec, settings, environ).read(WINDOW).rows
    assert rows["file"].to_pylist() == [f"{NIGHT}/a.csv", f"repair:{kept}"]
    assert files_at(settings.repairs).read(f"claims/{NIGHT}/{kept}") == corrected.read_bytes()
    assert not (tmp_path / "home").exists()


def test_near_misses_behind_a_url_are_told(tmp_path: Path, settings: Settings, bucket: Files) -> None:
    for name in (f"{NIGHT}/a.csv", f"{NIGHT}/b.CSV", f"outcomes/{NIGHT.replace('-', '')}.csv", "photos/a.jpg"):
        bucket.write(f"in/{name}", f"{HEADER}\n")
    bucket.write(f"in/{NIGHT}/empty.csv", b"")
    told = overlooked(behind(bucket, tmp_path), settings, {"PIPELINE_SOURCE_SHOP": bucket.url}, NIGHT)
    assert [entry.sentence.split(" ")[0] for entry in told] == [
        f"{NIGHT}/b.CSV", "outcomes/20250301.csv", f"{NIGHT}/empty.csv"
    ]  # fmt: skip


# -- photos ---------------------------------------------------------------------------------------------------


def test_photos_are_read_below_the_prefix_only(tmp_path: Path, settings: Settings, bucket: Files) -> None:
    photos = photo_source(behind(bucket, tmp_path), settings, {"PIPELINE_SOURCE_SHOP": bucket.url})
    bucket.write("in/photos/ü 1.jpg", b"photo")
    bucket.write("secret.jpg", b"secret")
    bucket.write("in/empty.jpg", b"")
    bucket.write("in/big.jpg", b"x" * (20 * 1024**2 + 1))
    assert photos.read("photos/ü 1.jpg") == b"photo"
    for path in ("../secret.jpg", "photos/../../secret.jpg", "/secret.jpg", "", "photos//a.jpg", "./x", "a\nb", "~/x"):
        with pytest.raises(PhotoUnreadable):
            photos.read(path)
        assert photos.stamp([path]) == photos.stamp([path])
    for path, why in (("gone.jpg", "missing"), ("empty.jpg", "empty"), ("big.jpg", "larger than")):
        with pytest.raises(PhotoUnreadable, match=why):
            photos.read(path)
    before = photos.stamp(["photos/ü 1.jpg", "gone.jpg"])
    bucket.write("in/gone.jpg", b"there")
    assert photos.stamp(["photos/ü 1.jpg", "gone.jpg"]) != before


def test_a_store_that_is_away_is_no_unreadable_photo(
    tmp_path: Path, settings: Settings, bucket: Files, s3: S3Server
) -> None:
    """Otherwise every case of a night would go to a person, because of a store that was away for a minute."""
    photos = photo_source(behind(bucket, tmp_path), settings, {"PIPELINE_SOURCE_SHOP": bucket.url})
    s3.fault = refusing("403 Forbidden", "ExpiredToken")
    with pytest.raises(FilesRefused, match="have expired"):
        photos.read("a.jpg")
    s3.fault = refusing("403 Forbidden")
    with pytest.raises(FilesRefused):
        photos.stamp(["a.jpg"])


# -- bad weather ----------------------------------------------------------------------------------------------


def test_a_night_whose_file_comes_cut_off_is_not_taken_in(
    tmp_path: Path, settings: Settings, bucket: Files, s3: S3Server
) -> None:
    content = f"{HEADER}\n{row(1)}\n{row(2)}\n".encode()
    bucket.write(f"in/{NIGHT}/a.csv", content)
    source = case_source(behind(bucket, tmp_path), settings, {"PIPELINE_SOURCE_SHOP": bucket.url})
    half = cut_off(len(content), content[: len(content) // 2])
    s3.fault = lambda request, start: half(request, start) if request["PATH_INFO"].endswith("a.csv") else None
    with pytest.raises(FilesUnavailable, match="did not answer whole"):
        source.read(WINDOW)
    s3.fault = None
    assert source.read(WINDOW).rows.num_rows == 2


def test_a_file_that_goes_away_between_listing_and_reading_is_told(
    tmp_path: Path, settings: Settings, bucket: Files, s3: S3Server
) -> None:
    bucket.write(f"in/{NIGHT}/a.csv", f"{HEADER}\n{row(1)}\n")
    source = case_source(behind(bucket, tmp_path), settings, {"PIPELINE_SOURCE_SHOP": bucket.url})
    gone = refusing("404 Not Found", "NoSuchKey")
    s3.fault = lambda request, start: gone(request, start) if request["PATH_INFO"].endswith("a.csv") else None
    with pytest.raises(SourceUnreadable, match=rf"{NIGHT}/a\.csv: it is not there; deliver it"):
        source.read(WINDOW)


def test_credentials_that_expire_in_the_middle_of_a_night_stop_it(
    tmp_path: Path, settings: Settings, bucket: Files, s3: S3Server
) -> None:
    bucket.write(f"in/{NIGHT}/a.csv", f"{HEADER}\n{row(1)}\n")
    bucket.write(f"in/{NIGHT}/b.csv", f"{HEADER}\n{row(2)}\n")
    source = case_source(behind(bucket, tmp_path), settings, {"PIPELINE_SOURCE_SHOP": bucket.url})
    expired = refusing("400 Bad Request", "ExpiredToken")
    s3.fault = lambda request, start: expired(request, start) if request["PATH_INFO"].endswith("b.csv") else None
    with pytest.raises(FilesRefused, match=r"b\.csv: the credentials have expired.*renew"):
        source.read(WINDOW)


# -- what a spec may say --------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["http://host/x", "file:///etc", "ftp://host/x"])
def test_only_urls_of_object_stores_are_places_of_files(tmp_path: Path, text: str) -> None:
    with pytest.raises(SourceUnreadable, match="neither a path nor the URL of an object store"):
        location(text, claims(tmp_path), {})


def test_what_needs_a_folder_of_this_machine_refuses_a_url(tmp_path: Path) -> None:
    with pytest.raises(SourceUnreadable, match="only a folder that is mounted here"):
        place("s3://bucket/out", claims(tmp_path), {})
    assert location("s3://bucket/in/", claims(tmp_path), {}) == "s3://bucket/in"


def test_a_home_of_one_machine_reads_as_before(tmp_path: Path, s3: S3Server) -> None:
    """The fingerprint of a folder's night stands in Dagster's records: another one would run every night again."""
    path = write(tmp_path, row(1))
    before = case_source(claims(tmp_path), Settings(home=tmp_path / "home"), {}).fingerprint(WINDOW)
    shutil.copytree(tmp_path / "in", tmp_path / "copy")
    status = path.stat()
    from resources.sources.night_files import fingerprint

    assert before == fingerprint([(f"{NIGHT}/a.csv", status.st_size, status.st_mtime_ns, status.st_ino)])
    assert s3.asked == []
