from __future__ import annotations

import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine, event, text

from pipeline_project.domain.core.errors import KeysUnusable, SealBroken
from pipeline_project.domain.privacy.seal import NOBODY, is_sealed
from resources.keys.masters import Masters
from resources.ledger.nights.ledger import PostgresLedger
from resources.ledger.privacy.keyring import PostgresKeyring
from resources.postgres.databases import engine_of
from resources.postgres.locks import SUBJECT_KEYS


@pytest.fixture
def engine(ledger: PostgresLedger, ledger_database: str) -> Engine:
    return engine_of(ledger_database)


@pytest.fixture
def ring(engine: Engine, tmp_path: Path) -> PostgresKeyring:
    return PostgresKeyring(engine, tmp_path / "keys")


def forgotten(engine: Engine, name: str | None) -> None:
    with engine.begin() as connection:
        connection.execute(
            text(
                "UPDATE subject_keys SET wrapped_key = NULL, sealed_id = NULL, forgotten_at = now(), "
                "forgotten_by = 'test' WHERE pseudonym = :name"
            ),
            {"name": name},
        )


def test_what_is_sealed_opens_again_and_shows_nothing(ring: PostgresKeyring) -> None:
    names = ring.pseudonyms(["C-1", None, "C-2", "C-1"])
    assert names[0] == names[3] != names[2] and names[1] is None
    values = ["Anna", "nobody's", None, ""]
    tokens = ring.seal(names, "message", values)
    assert [is_sealed(token) for token in tokens] == [True, True, False, True]
    assert tokens[1] is not None and f":{NOBODY}:" in tokens[1]
    assert ring.open(tokens) == values
    assert ring.subjects([names[0] or "", names[2] or ""]) == ["C-1", "C-2"]


def test_the_same_value_gives_the_same_token_in_any_process(ring: PostgresKeyring, engine: Engine) -> None:
    again = PostgresKeyring(engine, ring.masters.folder)
    name = ring.pseudonyms(["C-1"])
    assert again.pseudonyms(["C-1"]) == name == again.pseudonyms(name)
    one, other = ring.seal(name * 2, "message", ["a", "b"])
    assert again.seal(name, "message", ["a"]) == [one] and one != other
    assert ring.seal(name, "email", ["a"]) != [one]


def test_a_token_under_another_column_or_changed_is_noticed(ring: PostgresKeyring) -> None:
    first, second = ring.pseudonyms(["C-1", "C-2"])
    (token,) = ring.seal([first], "message", ["a"])
    assert token is not None
    with pytest.raises(SealBroken):
        ring.open_columns({"email": [token]})
    with pytest.raises(SealBroken):
        ring.open([token.replace(first or "", second or "")])
    ring.seal([second], "message", ["b"])
    with pytest.raises(SealBroken):
        ring.open([token[:-6] + ("A" if token[-6] != "A" else "B") + token[-5:]])
    with pytest.raises(SealBroken):
        ring.open(["plain"])


def test_an_id_is_no_pseudonym(ring: PostgresKeyring) -> None:
    ring.pseudonyms(["C-1"])
    with pytest.raises(ValueError, match="pseudonyms"):
        ring.seal(["C-1"], "message", ["a"])
    # somebody whose id has the shape of a pseudonym gets one like everybody
    shaped = "s-" + "a" * 30
    assert ring.pseudonyms([shaped]) != [shaped]


def test_a_forgotten_subject_stays_forgotten_in_every_process(ring: PostgresKeyring, engine: Engine) -> None:
    names = ring.pseudonyms(["C-1", "C-2"])
    tokens = ring.seal(names, "message", ["a", "b"])
    other = PostgresKeyring(engine, ring.masters.folder)
    assert other.open(tokens) == ["a", "b"]
    forgotten(engine, names[0])
    for one in (ring, other):
        assert one.open(tokens) == [None, "b"]
        assert one.pseudonyms(["C-1", "C-2"]) == names
        assert one.seal(names, "message", ["a", "b"]) == [None, tokens[1]]
        assert one.subjects([name or "" for name in names]) == [None, "C-2"]


def test_the_ledger_holds_neither_key_nor_id_in_the_open(ring: PostgresKeyring, engine: Engine) -> None:
    ring.pseudonyms(["anna.schmidt"])
    with engine.begin() as connection:
        (row,) = connection.execute(text("SELECT s::text FROM subject_keys s")).scalars()
    assert "anna" not in row and b"anna".hex() not in row


def test_key_files_are_their_owners_alone(ring: PostgresKeyring) -> None:
    ring.pseudonyms(["C-1"])
    files = sorted(Path(ring.masters.folder).iterdir())
    assert [file.name for file in files] == ["subject-master-1.key", "subject-names.key"]
    assert [stat.S_IMODE(file.stat().st_mode) for file in files] == [0o600, 0o600]


def test_a_new_master_wraps_everything_and_changes_no_token(ring: PostgresKeyring, engine: Engine) -> None:
    names = ring.pseudonyms([f"C-{number}" for number in range(50)])
    tokens = ring.seal(names, "message", ["a"] * 50)
    forgotten(engine, names[0])
    other = PostgresKeyring(engine, ring.masters.folder)
    assert ring.rotate() == (2, 49)
    assert ring.masters.numbers() == [1, 2]
    assert ring.rotate(destroy=True) == (3, 49)
    assert ring.masters.numbers() == [3]
    assert other.open(tokens) == [None, *["a"] * 49]
    (new,) = other.pseudonyms(["new"])
    with engine.begin() as connection:
        of_new = connection.scalar(text("SELECT master FROM subject_keys WHERE pseudonym = :name"), {"name": new})
    assert of_new == 3


class Turned(Masters):
    """Masters that are turned and destroyed just before a file is read; they look at the lock before one wraps."""

    def __init__(self, folder: Path | str, turn: Callable[[], object], locked: Callable[[], bool]) -> None:
        super().__init__(folder)
        object.__setattr__(self, "turns", [turn])
        object.__setattr__(self, "locked", locked)
        object.__setattr__(self, "seen", [])

    def key(self, number: int) -> bytes:
        if self.turns:  # type: ignore[attr-defined]
            self.turns.pop()()  # type: ignore[attr-defined]
        return super().key(number)

    def newest(self, may_make: bool) -> tuple[int, bytes]:
        self.seen.append(self.locked())  # type: ignore[attr-defined]
        return super().newest(may_make)


def test_a_master_destroyed_between_its_row_and_its_file_is_looked_for_again(
    ring: PostgresKeyring, engine: Engine
) -> None:
    tokens = ring.seal(ring.pseudonyms(["C-1"]), "message", ["a"])
    turner = PostgresKeyring(engine, ring.masters.folder)
    ring.masters = Turned(ring.masters.folder, lambda: turner.rotate(destroy=True), lambda: True)
    assert ring.open(tokens) == ["a"]
    assert ring.masters.numbers() == [2]


def test_no_master_may_go_while_it_wraps_a_new_key(ring: PostgresKeyring, engine: Engine) -> None:
    ring.pseudonyms(["C-1"])

    def held() -> bool:
        with engine.begin() as other:
            return not other.scalar(text("SELECT pg_try_advisory_xact_lock(:key)"), {"key": SUBJECT_KEYS.key})

    ring.masters = Turned(ring.masters.folder, lambda: None, held)
    ring.pseudonyms(["C-2"])
    assert ring.masters.seen == [True]  # type: ignore[attr-defined]


def test_columns_are_opened_with_one_look(ring: PostgresKeyring, engine: Engine) -> None:
    names = ring.pseudonyms(["C-1", "C-2"])
    tokens = ring.seal_columns(names, {"message": ["a", "b"], "email": ["c", None]})
    sent: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *of: sent.append(of[2]))
    assert ring.open_columns(tokens) == {"message": ["a", "b"], "email": ["c", None]}
    assert len(sent) == 1
    with pytest.raises(SealBroken, match="under email"):
        ring.open_columns({"message": tokens["message"], "email": tokens["message"]})


def test_lost_or_wrong_keys_are_never_made_anew(ring: PostgresKeyring, engine: Engine, tmp_path: Path) -> None:
    ring.pseudonyms(["C-1"])
    with pytest.raises(KeysUnusable, match=r"subject-names\.key"):
        PostgresKeyring(engine, tmp_path / "empty").pseudonyms(["C-1"])
    assert not (tmp_path / "empty").exists()
    wrong = PostgresKeyring(engine, tmp_path / "wrong")
    wrong.masters.names(may_make=True)
    with pytest.raises(KeysUnusable, match="not those that named"):
        wrong.pseudonyms(["C-2"])
    (Path(ring.masters.folder) / "subject-master-1.key").unlink()
    with pytest.raises(KeysUnusable, match="subject-master"):
        ring.pseudonyms(["C-2"])
    (Path(ring.masters.folder) / "subject-master-1.key").write_text("A" * 43 + "=")
    with pytest.raises(KeysUnusable, match="not the key that wrapped"):
        ring.seal(ring.pseudonyms(["C-1"]), "message", ["a"])


def test_processes_that_meet_a_subject_at_once_use_one_key(engine: Engine, tmp_path: Path) -> None:
    rings = [PostgresKeyring(engine, tmp_path / "keys") for _ in range(6)]
    subjects = [f"C-{number}" for number in range(200)]
    start, sealed, failed = threading.Barrier(len(rings)), [], []

    def work(ring: PostgresKeyring) -> None:
        try:
            start.wait()
            sealed.append(ring.seal(ring.pseudonyms(subjects), "message", subjects))
        except Exception as error:  # noqa: BLE001 - whatever it is, the test shows it
            failed.append(error)

    threads = [threading.Thread(target=work, args=(ring,)) for ring in rings]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert all(tokens == sealed[0] for tokens in sealed)
    assert rings[0].open(sealed[0]) == subjects


def test_a_night_of_20000_takes_seconds(ring: PostgresKeyring) -> None:
    subjects = [f"C-{number}" for number in range(20_000)]
    started = time.process_time()
    names = ring.pseudonyms(subjects)
    sealed = ring.seal_columns(names, dict.fromkeys(("a", "b", "c"), subjects))
    assert ring.open_columns({"a": sealed["a"]})["a"] == subjects
    assert time.process_time() - started < 20
