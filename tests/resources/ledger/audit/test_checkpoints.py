from __future__ import annotations

import json
import stat
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from pipeline_project.domain.audit.findings import Tampering
from pipeline_project.domain.core.errors import AuditBroken, FilesUnavailable
from resources.files import files_at
from resources.keys import checkpoint_key as keys
from resources.ledger.audit import checkpoints as checkpoints_module
from resources.ledger.audit.chain import append
from resources.ledger.audit.checkpoint_file import FILE
from resources.ledger.audit.checkpoints import Checkpoints
from resources.ledger.audit.facts import Fact
from resources.ledger.audit.trail import AuditTrail
from resources.ledger.nights.ledger import PostgresLedger
from resources.postgres.databases import engine_of
from tests.s3_server import S3Server


@pytest.fixture
def signer(ledger: PostgresLedger, tmp_path: Path) -> Checkpoints:
    return Checkpoints(ledger.url, str(tmp_path / "checkpoints"), tmp_path / "keys")


def add(signer: Checkpoints, times: int = 1) -> None:
    for _ in range(times):
        with engine_of(signer.url).begin() as connection:
            append(connection, "answers", "returns", [Fact(None, {"case_id": "C-1"}), Fact(None, {"case_id": "C-2"})])


def tamper(signer: Checkpoints, statement: str) -> None:
    with engine_of(signer.url).begin() as connection:
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        connection.execute(text(statement))


def lines(signer: Checkpoints) -> list[str]:
    path = Path(signer.place) / FILE
    return path.read_text().splitlines() if path.exists() else []


def found(signer: Checkpoints, public: Path | None = None) -> list[Tampering]:
    return [each.what for each in AuditTrail(signer.url).verify(signer.read(public)).verdict.findings]


def test_a_checkpoint_says_how_long_the_chain_was_and_how_it_ended(signer: Checkpoints) -> None:
    assert signer.checkpoint() is None
    assert lines(signer) == []
    add(signer, 3)
    signed = signer.checkpoint()
    assert signed is not None and signed.number == 3
    assert signer.read() == [signed]
    with engine_of(signer.url).connect() as connection:
        assert connection.scalar(text("SELECT hash FROM audit_batches WHERE number = 3")) == signed.hash
    assert AuditTrail(signer.url).verify(signer.read()).verdict.vouched == signed


def test_nothing_new_is_not_signed_again(signer: Checkpoints) -> None:
    add(signer)
    assert signer.checkpoint() is not None
    assert signer.checkpoint() is None
    assert signer.checkpoint() is None
    assert len(lines(signer)) == 1
    assert AuditTrail(signer.url).length() == 2  # the batch, and the chain's own note of its checkpoint
    add(signer)
    assert signer.checkpoint() is not None
    assert [json.loads(line)["number"] for line in lines(signer)] == [1, 3]
    assert found(signer) == []


def test_the_key_is_made_once_and_is_its_owners_alone(signer: Checkpoints) -> None:
    add(signer)
    signer.checkpoint()
    private = Path(signer.keys) / keys.PRIVATE
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    before = private.read_bytes()
    add(signer)
    signer.checkpoint()
    assert private.read_bytes() == before
    assert [each.name for each in Path(signer.keys).iterdir()] == [keys.PRIVATE]
    assert b"PRIVATE" not in b"".join(path.read_bytes() for path in Path(signer.place).iterdir())


def test_who_has_only_the_public_key_can_check(signer: Checkpoints, tmp_path: Path) -> None:
    add(signer)
    signer.checkpoint()
    (Path(signer.keys) / keys.PRIVATE).rename(tmp_path / "away.pem")
    assert found(signer) == []
    assert found(signer, Path(signer.place) / keys.PUBLIC) == []
    with pytest.raises(AuditBroken, match="no public key"):
        signer.read(tmp_path / "none.pem")
    with pytest.raises(AuditBroken, match="no Ed25519 public key"):
        signer.read(Path(signer.place) / FILE)


def test_processes_that_make_the_key_at_once_get_one(tmp_path: Path) -> None:
    together, made = threading.Barrier(8), []

    def make() -> None:
        together.wait(timeout=300)
        made.append(keys.pem_of(keys.signing_key(tmp_path / "keys").public_key()))

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 8 and len(set(made)) == 1


def test_those_that_sign_at_once_sign_once(signer: Checkpoints) -> None:
    add(signer, 2)
    together, signed = threading.Barrier(4), []

    def sign() -> None:
        together.wait(timeout=300)
        signed.append(signer.checkpoint())

    threads = [threading.Thread(target=sign) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(signed) == 4 and len([each for each in signed if each]) == 1
    assert len(lines(signer)) == 1


def test_a_line_that_a_crash_cut_off_is_written_over(signer: Checkpoints) -> None:
    add(signer)
    signer.checkpoint()
    add(signer)
    with (Path(signer.place) / FILE).open("a") as file:
        file.write('{"number": 2, "ha')
    assert found(signer) == []
    assert signer.checkpoint() is not None
    assert len(lines(signer)) == 2 and found(signer) == []


def test_a_crash_between_the_line_and_the_chains_note_of_it_is_mended_by_going_on(
    signer: Checkpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> None:
        raise KeyboardInterrupt

    add(signer)
    with monkeypatch.context() as patched:
        patched.setattr(Checkpoints, "_remember", die)
        with pytest.raises(KeyboardInterrupt):
            signer.checkpoint()
    assert found(signer) == []
    add(signer)
    assert signer.checkpoint() is not None
    assert found(signer) == []


REFUSED = {
    "UPDATE audit_batches SET hash = repeat('a', 64) WHERE number = 3": "does not continue what was signed",
    "DELETE FROM audit_batches WHERE number >= 3": "does not continue what was signed",
    "UPDATE audit_rows SET body = '{}' WHERE batch = 5": "tampered with after batch 3",
    "DELETE FROM audit_batches WHERE number = 5": "tampered with after batch 3",
    "UPDATE audit_batches SET prev_hash = repeat('b', 64) WHERE number = 4": "tampered with after batch 3",
}


@pytest.mark.parametrize("statement", REFUSED)
def test_a_chain_that_does_not_continue_what_was_signed_is_not_signed(signer: Checkpoints, statement: str) -> None:
    add(signer, 3)
    signer.checkpoint()
    add(signer, 3)
    tamper(signer, statement)
    with pytest.raises(AuditBroken, match=REFUSED[statement]):
        signer.checkpoint()
    assert len(lines(signer)) == 1


def _forge(said: list[str]) -> list[str]:
    return [said[0].replace('"number":1', '"number":2'), *said[1:]]


def _drop_first(said: list[str]) -> list[str]:
    return said[1:]


@pytest.mark.parametrize("change", [_forge, _drop_first])
def test_a_forged_file_is_not_continued(signer: Checkpoints, change: Callable[[list[str]], list[str]]) -> None:
    for _ in range(2):
        add(signer)
        signer.checkpoint()
    add(signer)
    (Path(signer.place) / FILE).write_text("".join(f"{line}\n" for line in change(lines(signer))))
    assert Tampering.CHECKPOINT_FORGED in found(signer)
    with pytest.raises(AuditBroken, match="line 1 of"):
        signer.checkpoint()


@pytest.mark.parametrize("left", [0, 1])
def test_lost_checkpoints_are_missed_and_a_new_beginning_is_asked_for(signer: Checkpoints, left: int) -> None:
    for _ in range(3):
        add(signer)
        signer.checkpoint()
    (Path(signer.place) / FILE).write_text("".join(f"{line}\n" for line in lines(signer)[:left]))
    assert found(signer) == [Tampering.CHECKPOINT_REMOVED] * (3 - left)
    with pytest.raises(AuditBroken, match="--anew"):
        signer.checkpoint()
    signed = signer.checkpoint(anew=True)
    assert signed is not None and signed.number == 6
    assert found(signer) == []
    assert signer.checkpoint() is None


def test_a_key_that_is_none_is_said_to_be_none(signer: Checkpoints) -> None:
    add(signer)
    Path(signer.keys).mkdir()
    (Path(signer.keys) / keys.PRIVATE).write_text("nothing")
    with pytest.raises(AuditBroken, match="no Ed25519 key"):
        signer.checkpoint()


@pytest.fixture
def signer_behind(ledger: PostgresLedger, tmp_path: Path, s3: S3Server) -> Checkpoints:
    return Checkpoints(ledger.url, f"{s3.bucket()}/checkpoints", tmp_path / "keys")


def test_checkpoints_lie_behind_a_url(signer_behind: Checkpoints, tmp_path: Path) -> None:
    signer, files = signer_behind, files_at(signer_behind.place)
    assert signer.read() == [] and signer.checkpoint() is None
    add(signer, 2)
    first = signer.checkpoint()
    add(signer)
    second = signer.checkpoint()
    assert signer.read() == [first, second] and found(signer) == []
    assert len(files.read(FILE).splitlines()) == 2 and signer.checkpoint() is None
    assert b"PUBLIC KEY" in files.read(keys.PUBLIC)
    # who has no private key checks with the public one beside them
    stranger = replace(signer, keys=tmp_path / "nobody's")
    assert stranger.read() == [first, second] and not Path(stranger.keys).exists()
    files.write(FILE, files.read(FILE).splitlines()[0] + b"\n")
    with pytest.raises(AuditBroken, match=r"s3://.*checkpoints\.jsonl ends at"):
        signer.checkpoint()


def test_of_two_hosts_that_sign_at_once_one_is_told_to_come_again(
    signer_behind: Checkpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    signer, check_chain = signer_behind, vars(checkpoints_module)["check_chain"]
    add(signer)

    def meanwhile(*given: Any) -> Any:
        # the other host signs after this one has read what is signed
        monkeypatch.setattr(checkpoints_module, "check_chain", check_chain)
        assert replace(signer).checkpoint() is not None
        return check_chain(*given)

    monkeypatch.setattr(checkpoints_module, "check_chain", meanwhile)
    with pytest.raises(FilesUnavailable, match=r"another process wrote to .*run it again"):
        signer.checkpoint()
    assert len(signer.read()) == 1 and found(signer) == []
    add(signer)
    assert signer.checkpoint() is not None
    assert len(signer.read()) == 2 and found(signer) == []
