"""Buckets are made where they are missing, in a store that speaks S3; the store stands at the edge of the process."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from pipeline_project.domain.core.errors import SettingInvalid
from resources.files.buckets import make_bucket

#: What the store of these tests has.
_buckets: set[str] = set()


class Store(BaseHTTPRequestHandler):
    """As much of S3 as buckets need."""

    def do_HEAD(self) -> None:
        self._answer(200 if self._bucket in _buckets else 404)

    def do_PUT(self) -> None:
        refused = self._bucket == "not-ours"
        if not refused:
            _buckets.add(self._bucket)
        self._answer(403 if refused else 200)

    @property
    def _bucket(self) -> str:
        return self.path.strip("/").partition("?")[0]

    def _answer(self, status: int) -> None:
        self.rfile.read(int(self.headers.get("content-length") or 0))
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    _buckets.clear()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "a key of this test")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Store)
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    yield {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_address[1]}", "AWS_REGION": "eu-central-1"}
    server.shutdown()
    server.server_close()
    serving.join()


def test_a_bucket_is_made_where_it_is_missing(store: dict[str, str]) -> None:
    assert make_bucket("s3://nights/lake", store) == "nights"
    assert _buckets == {"nights"}
    assert make_bucket("s3://nights/lake", store) == "nights", "and once more does no harm"
    assert _buckets == {"nights"}


def test_the_variable_of_this_service_alone_comes_first(store: dict[str, str]) -> None:
    elsewhere = {**store, "AWS_ENDPOINT_URL_S3": store["AWS_ENDPOINT_URL"], "AWS_ENDPOINT_URL": "http://127.0.0.1:1"}
    assert make_bucket("s3://nights", elsewhere) == "nights"
    assert _buckets == {"nights"}


def test_what_the_store_refuses_is_told_with_what_to_do_and_without_the_keys(store: dict[str, str]) -> None:
    with pytest.raises(SettingInvalid, match="leave out --bucket") as told:
        make_bucket("s3://not-ours/lake", store)
    assert "a key of this test" not in str(told.value)


@pytest.mark.parametrize("url", ["/var/lib/lake", "gs://bucket/lake", "az://container/lake"])
def test_other_places_have_no_bucket_that_is_made_here(url: str) -> None:
    assert make_bucket(url, {}) is None
