"""The checker's own look at folders and object stores."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline_project.reconcile.places import content_at, names_at
from resources.files import files_at
from tests.s3_server import S3Server, refusing


@pytest.mark.parametrize("where", ["folder", "store"])
def test_it_sees_the_files_of_a_night_and_their_bytes(where: str, tmp_path: Path, s3: S3Server) -> None:
    place = str(tmp_path) if where == "folder" else f"{s3.bucket()}/house"
    files = files_at(place)
    for name in ("in/2025-03-05/a.csv", "in/2025-03-05/.b.csv.part", "in/2025-03-05/deep/c.csv", "in/2025-03-06/a.csv"):
        files.write(name, name)
    assert names_at(place, "in/2025-03-05/*") == ["in/2025-03-05/a.csv"]
    assert names_at(place, "in/*/a.csv") == ["in/2025-03-05/a.csv", "in/2025-03-06/a.csv"]
    assert names_at(f"{place}/in", "2025-03-06/*.csv") == ["2025-03-06/a.csv"]
    assert names_at(f"{place}/nothing", "*") == []
    assert content_at(place, "in/2025-03-05/a.csv") == b"in/2025-03-05/a.csv"
    with pytest.raises(FileNotFoundError):
        content_at(place, "in/gone.csv")


def test_what_may_not_be_read_is_no_file_that_is_gone(s3: S3Server) -> None:
    place = s3.bucket()
    s3.fault = refusing("400 Bad Request", "ExpiredToken")
    with pytest.raises(OSError, match="cannot be read") as told:
        content_at(place, "a.csv")
    assert not isinstance(told.value, FileNotFoundError)
