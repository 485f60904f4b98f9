"""An object store for tests: moto's S3 in this process, on a port of its own, which can be made to fail."""

from __future__ import annotations

import threading
import urllib.request
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from werkzeug.serving import WSGIRequestHandler, make_server

#: A request as WSGI has it -> its answer; None leaves it to the store.
Fault = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes] | None]


class _Quiet(WSGIRequestHandler):
    def log_request(self, *_: Any) -> None:
        pass


@dataclass
class S3Server:
    """A store that answers, and what it was asked.

    Attributes:
        fault: is asked first, about each request.
        asked: method and path of each request.
    """

    fault: Fault | None = None
    asked: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

        self._store = DomainDispatcherApplication(create_backend_app)
        # moto looks whether an object is there and then writes it, in two steps: a real store does both in one
        self._one_at_a_time = threading.Lock()
        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True, request_handler=_Quiet)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def environ(self) -> dict[str, str]:
        """The variables by which the clouds' tools find it."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ALLOW_HTTP": "true",
            "AWS_REGION": "eu-central-1",
            "AWS_ACCESS_KEY_ID": "tester",
            "AWS_SECRET_ACCESS_KEY": "of-no-use",
        }

    def bucket(self) -> str:
        """The URL of a new and empty bucket."""
        name = f"bucket-{uuid.uuid4().hex}"
        where = "<LocationConstraint>eu-central-1</LocationConstraint>"
        body = f"<CreateBucketConfiguration>{where}</CreateBucketConfiguration>".encode()
        urllib.request.urlopen(urllib.request.Request(f"{self.url}/{name}", body, method="PUT")).close()
        return f"s3://{name}"

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, request: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        self.asked.append((request["REQUEST_METHOD"], request["PATH_INFO"]))
        if self.fault is not None and (answer := self.fault(request, start)) is not None:
            return answer
        with self._one_at_a_time:
            return list(self._store(request, start))


def refusing(status: str, code: str = "", methods: tuple[str, ...] = ("GET", "HEAD", "PUT", "POST", "DELETE")) -> Fault:
    """Every request of these methods is answered so."""

    def fault(request: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes] | None:
        if request["REQUEST_METHOD"] not in methods:
            return None
        request["wsgi.input"].read(int(request.get("CONTENT_LENGTH") or 0))
        body = f"<Error><Code>{code}</Code><Message>as told</Message></Error>".encode() if code else b""
        start(status, [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
        return [body]

    return fault


def first(times: int, fault: Fault) -> Fault:
    """Only so many requests meet the fault."""
    left = [times]

    def limited(request: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes] | None:
        left[0] -= 1
        return fault(request, start) if left[0] >= 0 else None

    return limited


def cut_off(whole: int, content: bytes) -> Fault:
    """Reading gives an object of `whole` bytes of which only `content` comes."""

    def fault(request: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes] | None:
        if request["REQUEST_METHOD"] != "GET":
            return None
        head = [("Content-Length", str(whole)), ("ETag", '"abc"'), ("Last-Modified", "Wed, 05 Mar 2025 07:28:00 GMT")]
        start("200 OK", head)
        return [content]

    return fault
