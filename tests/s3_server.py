"""An object store for tests: moto's S3 on a port of its own, which can be made to fail.

In the process of the tests it can be told anything. delta-rs keeps Python waiting while it writes, so what tests the
lake needs one in a process of its own (`S3Process`), which `python -m tests.s3_server` starts.
"""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import threading
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from werkzeug.serving import WSGIRequestHandler, make_server

#: A request as WSGI has it -> its answer; None leaves it to the store.
Fault = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes] | None]


#: Instead of a status: the code says by how many seconds answers are late.
SLOW = "slow"


class _Quiet(WSGIRequestHandler):
    def log_request(self, *_: Any) -> None:
        pass


def environ_of(url: str) -> dict[str, str]:
    """The variables by which the clouds' tools find a store."""
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ALLOW_HTTP": "true",
        "AWS_REGION": "eu-central-1",
        "AWS_ACCESS_KEY_ID": "tester",
        "AWS_SECRET_ACCESS_KEY": "of-no-use",
    }


def new_bucket(url: str) -> str:
    """The URL of a new and empty bucket of a store."""
    name = f"bucket-{uuid.uuid4().hex}"
    where = "<LocationConstraint>eu-central-1</LocationConstraint>"
    body = f"<CreateBucketConfiguration>{where}</CreateBucketConfiguration>".encode()
    urllib.request.urlopen(urllib.request.Request(f"{url}/{name}", body, method="PUT")).close()
    return f"s3://{name}"


@dataclass
class S3Server:
    """A store that answers, and what it was asked.

    Attributes:
        fault: is asked first, about each request.
        asked: method and path of each request.
    """

    fault: Fault | None = None
    asked: list[tuple[str, str]] = field(default_factory=list)
    host: str = "127.0.0.1"

    def __post_init__(self) -> None:
        from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

        self._store = DomainDispatcherApplication(create_backend_app)
        # moto looks whether an object is there and then writes it, in two steps: a real store does both in one
        self._one_at_a_time = threading.Lock()
        self._server = make_server(self.host, 0, self._answer, threaded=True, request_handler=_Quiet)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self._server.server_port}"

    @property
    def environ(self) -> dict[str, str]:
        return environ_of(self.url)

    def bucket(self) -> str:
        """The URL of a new and empty bucket."""
        return new_bucket(self.url)

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, request: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        self.asked.append((request["REQUEST_METHOD"], request["PATH_INFO"]))
        if self.fault is not None and (answer := self.fault(request, start)) is not None:
            return answer
        with self._one_at_a_time:
            return list(self._store(request, start))


@dataclass
class S3Process:
    """A store in a process of its own.

    Attributes:
        url: where it listens.
    """

    url: str
    process: subprocess.Popen[str]

    @classmethod
    def start(cls, host: str = "127.0.0.1", before: Sequence[str] = ()) -> S3Process:
        """
        Args:
            before: what the command begins with, as where it runs in another network.
        """
        words = [*before, sys.executable, "-m", "tests.s3_server", host]
        process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        return cls(process.stdout.readline().strip(), process)

    @property
    def environ(self) -> dict[str, str]:
        return environ_of(self.url)

    def bucket(self) -> str:
        """The URL of a new and empty bucket."""
        return new_bucket(self.url)

    def refuse(
        self, status: str = "", code: str = "", times: int = 1_000_000, after: int = 0
    ) -> list[tuple[str, str, str]]:
        """So many requests are answered so, after so many that are not; without a status all are answered well again.

        Returns:
            Method, path and `If-None-Match` of each request since this was asked before.
        """
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps([status, code, times, after]) + "\n")
        self.process.stdin.flush()
        return [(method, path, condition) for method, path, condition in json.loads(self.process.stdout.readline())]

    def stop(self) -> None:
        self.process.kill()
        self.process.communicate()


def serve() -> None:
    """Serves until its standard input ends, and takes from it how to answer."""
    conditions: list[tuple[str, str, str]] = []
    refusal: list[Fault | None] = [None]

    def asked(request: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes] | None:
        conditions.append((request["REQUEST_METHOD"], request["PATH_INFO"], request.get("HTTP_IF_NONE_MATCH", "")))
        return None if refusal[0] is None else refusal[0](request, start)

    server = S3Server(asked, host=sys.argv[1])
    print(server.url, flush=True)
    for line in sys.stdin:
        status, code, times, after = json.loads(line)
        fault = slow(float(code)) if status == SLOW else refusing(status, code)
        refusal[0] = first(times, fault, after) if status else None
        print(json.dumps(conditions), flush=True)
        conditions.clear()
    server.stop()


def slow(seconds: float) -> Fault:
    """Every request is answered, later."""

    def fault(request: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes] | None:
        time.sleep(seconds)
        return None

    return fault


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


def first(times: int, fault: Fault, after: int = 0) -> Fault:
    """Only so many requests meet the fault, after so many that do not."""
    count = itertools.count()

    def limited(request: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes] | None:
        return fault(request, start) if after <= next(count) < after + times else None

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


if __name__ == "__main__":
    serve()
