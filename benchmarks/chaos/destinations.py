"""Destinations that drip, never end, redirect, break off, lie about their length, or have a certificate that is over.

A try must end within what the destination promises, must not follow a redirect, and may be called done only where a
whole status line of success came. `--without deadline` gives a try nothing but a timeout for each read, as httpx has
it; `--without redirects` follows them.
"""

from __future__ import annotations

import socket
import ssl
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock
from uuid import UUID

import httpx

from benchmarks.chaos.tally import Came, Given, Tally, run
from pipeline_project.domain.delivery.backoff import DeliveryResult, DeliveryStatus
from pipeline_project.domain.delivery.claimed_action import ClaimedAction
from resources.destinations.http import HttpService

TIMEOUT = 1.0
#: Beyond its promise a try may take this long on a machine that is busy with other things.
BUSY = 3.0
SECRET = "whsec_" + "Y2hhb3Mh" * 4
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n"

Talk = Callable[[socket.socket, threading.Event], None]


class Elsewhere:
    """Where redirects point; it must never hear of anything."""

    def __init__(self) -> None:
        self.heard = 0

    def __call__(self, peer: socket.socket, over: threading.Event) -> None:
        self.heard += 1
        peer.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")


def talks(draw: Random, elsewhere: str) -> dict[str, tuple[Talk, bool]]:
    """What a destination does with a connection, by kind, and whether a whole status of success comes of it."""
    pause, size = draw.uniform(0.01, 0.2), draw.choice([1, 10, 1_000, 100_000])

    def drip(first: bytes, part: bytes) -> Talk:
        def talk(peer: socket.socket, over: threading.Event) -> None:
            peer.sendall(first)
            while not over.wait(pause):
                peer.sendall(part)

        return talk

    def say(words: bytes) -> Talk:
        return lambda peer, over: peer.sendall(words)

    def endless(peer: socket.socket, over: threading.Event) -> None:
        peer.sendall(HEAD + b"\r\n")
        while not over.is_set():
            peer.sendall(b"x" * 65_536)

    status = draw.choice([301, 302, 303, 307, 308])
    cut = draw.randrange(1, len(b"HTTP/1.1 200"))
    return {
        "drips its status line": (drip(b"HTTP/1.1", b"2"), False),
        "drips headers": (drip(b"HTTP/1.1 200 OK\r\n", b"x-more: 1\r\n"), False),
        "drips its body": (drip(HEAD + b"content-length: 100000\r\n\r\n", b"x"), True),
        "drips chunks": (drip(HEAD + b"transfer-encoding: chunked\r\n\r\n", b"1\r\nx\r\n"), True),
        "answers without end": (endless, True),
        "headers without end": (drip(b"HTTP/1.1 200 OK\r\n", b"x: " + b"y" * size + b"\r\n"), False),
        "redirects": (
            say(f"HTTP/1.1 {status} Go\r\nlocation: {elsewhere}/x\r\ncontent-length: 0\r\n\r\n".encode()),
            False,
        ),
        "says nothing": (lambda peer, over: over.wait() and None, False),
        "closes at once": (lambda peer, over: None, False),
        "breaks off in its status": (say(b"HTTP/1.1 200"[:cut]), False),
        "says less than it promised": (say(HEAD + b"content-length: 900\r\n\r\nxx"), True),
        "speaks no HTTP": (say(draw.randbytes(draw.randrange(1, 400))), False),
        "informs for ever": (drip(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"), False),
    }


@contextmanager
def served(talk: Talk, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """A destination that talks as it likes."""
    over = threading.Event()
    listening = socket.create_server(("127.0.0.1", 0))

    def serve(peer: socket.socket) -> None:
        with suppress(OSError), peer:
            if tls is not None:
                peer = tls.wrap_socket(peer, server_side=True)
            peer.recv(65_536)
            talk(peer, over)

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listening.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        scheme = "http" if tls is None else "https"
        yield f"{scheme}://localhost:{listening.getsockname()[1]}"
    finally:
        over.set()
        listening.close()


def expired(folder: Path) -> ssl.SSLContext:
    """A server's TLS whose certificate was over yesterday."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
    from cryptography.x509.oid import NameOID

    key = generate_private_key(SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=30))
        .not_valid_after(now - timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    own = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (folder / "key.pem").write_bytes(key.private_bytes(pem, *own))
    (folder / "cert.pem").write_bytes(made.public_bytes(pem))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context


def suite(given: Given) -> Tally:
    tally, lock = Tally(), threading.Lock()
    elsewhere, secure = Elsewhere(), Elsewhere()
    with tempfile.TemporaryDirectory() as folder, served(elsewhere) as there, _without(given.without):
        tls = expired(Path(folder))

        def one(kind: str, seed: int) -> None:
            draw = Random(seed)
            talk, success = talks(draw, there)[kind] if kind != "an expired certificate" else (secure, False)
            with served(talk, tls if kind == "an expired certificate" else None) as address:
                came, words = judged(address, success, draw)
            with lock:
                tally.note(kind, came, f"seed {seed}: {words}")

        kinds = [*talks(Random(0), there), "an expired certificate"]
        with ThreadPoolExecutor(12) as pool:
            done = [pool.submit(one, kind, given.seed * 1_000 + n) for n in range(given.times) for kind in kinds]
            for each in done:
                each.result()
    for _ in range(elsewhere.heard):
        tally.note("heard where a redirect pointed", Came.SILENT, "a payment went somewhere else")
    for _ in range(secure.heard):
        tally.note("heard behind an expired certificate", Came.SILENT, "a payment went to nobody knows whom")
    return tally


def judged(address: str, success: bool, draw: Random) -> tuple[Came, str]:
    """One try: whether it kept its promise, and what it was called."""
    service = HttpService(f"{address}/actions", SECRET, None, 60.0, TIMEOUT, 8)
    action = _action(draw)
    # reading the certificates of the machine is no part of a try; a dispatcher does it once
    _ = service._client
    began = time.monotonic()
    answer: DeliveryResult = service.send(action)
    took = time.monotonic() - began
    if took > service.longest_seconds + BUSY:
        return Came.SILENT, f"it took {took:.1f} s of a promised {service.longest_seconds:g}"
    if answer.status is DeliveryStatus.DONE and not success:
        return Came.LOST, "called done without a word of success"
    if answer.status is DeliveryStatus.REFUSED and success:
        return Came.LOST, "refused although it may have happened"
    return Came.WELL, ""


def _action(draw: Random) -> ClaimedAction:
    values: dict[str, Any] = {
        "id": 1, "workflow": "chaos", "case_id": "C-1", "destination": "shop", "kind": "refund",
        "key": UUID(int=draw.getrandbits(128), version=4), "fingerprint": "0" * 64, "payload": {"case": "C-1"},
        "money": 1.0, "live": True, "attempt": 1, "seconds": 0.0, "uncertain": False,
    }  # fmt: skip
    return ClaimedAction(
        **{name: value for name, value in values.items() if name in ClaimedAction.__dataclass_fields__}
    )


@contextmanager
def _without(protection: str | None) -> Iterator[None]:
    """Takes a protection out: the deadline of the whole try, or that redirects are not followed."""
    if protection is None:
        yield
        return
    client = httpx.AsyncClient

    def follows(**given: Any) -> httpx.AsyncClient:
        return client(**{**given, "follow_redirects": True})

    if protection == "redirects":
        with mock.patch.object(httpx, "AsyncClient", follows):
            yield
        return
    from resources.destinations import http
    from resources.destinations.deadline import cancelled_after

    with mock.patch.object(http, "cancelled_after", lambda seconds, make: cancelled_after(20 * seconds, make)):
        yield


if __name__ == "__main__":
    raise SystemExit(run("destinations", str(__doc__), ["deadline", "redirects"], 10, suite))
