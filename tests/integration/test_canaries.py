"""Planted personal values: after whole nights they stand in their source and nowhere else, and can be forgotten."""

from __future__ import annotations

import csv
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pyarrow.parquet as pq
import pytest
from sqlalchemy import text

from pipeline_project import cli
from resources.ledger.audit.adopt import adopt
from resources.postgres.databases import databases, engine_of
from resources.postgres.embedded import EmbeddedServer
from tests.integration import planted_secrets as secrets
from tests.integration import shop
from tests.integration.house import House

#: In every planted value, whatever its field; nothing else in the project says it.
CANARY = "kanarie"
PERSONAL = {"type": "identifier", "required": False, "pii": True}
FIELDS: dict[str, Any] = {
    "customer": {"type": "identifier", "role": "subject", "pii": True},
    "mail": PERSONAL,
    "note": {"type": "text", "required": False, "pii": True},
    # a model keeps the categories and the cut points that it learned from: what may not stand there is no feature
    "town": {"type": "category", "role": "ignore", "required": False, "pii": True},
    "born": {"type": "time", "required": False, "pii": True},
    "weight": {"type": "number", "role": "ignore", "required": False, "pii": True},
}
#: Of one subject only: a time and a number cannot say what they are, so they are ones that nothing else is.
BORN, WEIGHT = "1931-07-23T04:05:06", "61.528173"
TOLD = (CANARY, "1931-07-23", "61.528173")
LAST = shop.night(5)
FORGOTTEN = "kanarie-k-3"


def planted(of_night: str) -> list[dict[str, str]]:
    """The shop's rows with somebody behind each."""
    rows = []
    for row in shop.rows(of_night):
        number = row["customer"].removeprefix("K-")
        rows.append(
            {
                **row,
                "customer": f"kanarie-k-{number}",
                "mail": f"kanarie{number}@vogel.example",
                "note": f"{row['note']}; ask kanarienvogel {number}",
                "town": f"Kanarienstadt {int(number) % 3}",
                "born": BORN,
                "weight": WEIGHT,
                "street": f"Kanarienweg {number}",
            }
        )
    # rows that are refused: a wrong amount, a mail where the amount should be, a town where the kind should be
    for at, wrong in enumerate(({"amount": "kanarie"}, {"amount": "kanarie@vogel.example"}, {"kind": "Kanarie"})):
        rows.append({**rows[at], "case": f"C-{of_night}-wrong{at}", **wrong})
    return rows


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    """Six nights with a model trained at the end; the fields of a claim that names its customer in every way.

    It has a database of its own, because the whole of a ledger is held against its audit chain.
    """
    home = Path(tempfile.mkdtemp(prefix="pipeline-canaries-"))
    house = House("canaries", home, None)
    house.variables.update(secrets.environment(house))
    try:
        with secrets.service() as address:
            yield _lived_in(house, address)
    finally:
        EmbeddedServer(home / "postgres").stop()
        shutil.rmtree(home)


def _lived_in(house: House, address: str) -> House:
    plain_spec = shop.spec("any")
    plain = plain_spec["fields"]
    fields = {**{name: field for name, field in plain.items() if name != "customer"}, **FIELDS}
    options = {**plain_spec["options"], **secrets.options()}
    house.declare(fields=fields, actions=secrets.actions(address), options=options)
    for offset in range(6):
        night = shop.night(offset)
        rows = planted(night)
        path = shop.drop_cases(house.folder, night, [])
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
            file.write("C-torn,kanarie,one,cell,too,many,of,these,kanarie,and,more,kanarie,more\n")
        shop.drop_outcomes(house.folder, night, shop.rows(night), f"{night}T23:00:00")
    done = house.command("nights", house.name, "--from", shop.night(0), "--to", shop.night(4))
    assert done.returncode == 0, done.stderr
    last = house.command("nights", house.name, "--from", LAST, "--to", LAST, "--retrain")
    assert last.returncode == 0, last.stderr
    (house.home / "spoken.log").write_text(done.stdout + done.stderr + last.stdout + last.stderr, encoding="utf-8")
    return house


def contents(house: House) -> Iterator[tuple[str, str]]:
    """Everything that the nights left behind: each file of the home but the source, each row of each database."""
    for path in sorted(house.home.rglob("*")):
        if path.is_file() and house.folder not in path.parents:
            yield str(path.relative_to(house.home)), unpacked(path)
    found = databases(house.settings)
    for url in (found.dagster_url, found.mlflow_url, found.ledger_url):
        with engine_of(url).connect() as connection:
            tables = connection.scalars(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")).all()
            for table in tables:
                # bytes are shown in hexadecimal digits, which no canary is: as text they are looked at as well
                rows = connection.execute(text(f'SELECT * FROM "{table}"'))
                yield table, "\n".join(spelled(value) for row in rows for value in row)


def unpacked(path: Path) -> str:
    if path.suffix == ".parquet":
        return str(pq.ParquetFile(path).read().to_pylist())
    return path.read_bytes().decode("utf-8", errors="replace")


def spelled(value: object) -> str:
    return bytes(value).decode("utf-8", errors="replace") if isinstance(value, bytes | memoryview) else str(value)


def hits(house: House) -> dict[str, str]:
    """Where a canary sings, with some of what stands around it."""
    found = {}
    for place, content in contents(house):
        low = content.casefold()
        for sign in TOLD:
            if (at := low.find(sign)) >= 0:
                found[place] = content[max(0, at - 80) : at + 80]
    return found


def test_the_nights_did_everything(house: House) -> None:
    """So that nothing is missing merely because nothing was done."""
    assert house.decisions() and house.table("quarantine") and house.table("training_set")
    assert house.sql("SELECT 1 FROM review_tasks WHERE workflow = :name LIMIT 1")
    assert house.sql("SELECT 1 FROM model_versions WHERE workflow = :name LIMIT 1")
    assert CANARY in house.page(LAST).casefold() or "<html" in house.page(LAST)
    places = {place.partition("/")[0] for place, _ in contents(house)}
    assert {"lake", "reports", "dagster", "models", "event_logs", "runs", "decisions", "subject_keys"} <= places


def test_whoever_has_the_keys_reads_them(house: House) -> None:
    case = next(row for row in house.table("cases", LAST) or [] if row["mail"] == "kanarie3@vogel.example")
    assert "kanarienvogel 3" in case["note"] and case["town"] == "Kanarienstadt 0"
    assert (case["born"].isoformat()[:10], case["weight"]) == ("1931-07-23", 61.528173)
    assert case["customer"].startswith("s-")


def test_no_canary_is_heard_outside_of_the_source(house: House) -> None:
    assert [f"{place}: {around}" for place, around in hits(house).items()] == []


def test_hashes_of_what_rows_say_are_under_a_key(house: House) -> None:
    for table in ("arrivals", "quarantine", "cases"):
        lying = house.lake.read_sealed(house.name, table, LAST)
        assert lying is not None and len(lying)
        for name in {"row_sha256", "content_sha256"} & set(lying.column_names):
            assert all(each.startswith("k-") for each in lying[name].drop_null().to_pylist())


def test_a_forgotten_subject_is_gone_and_the_chain_holds(house: House) -> None:
    adopt(house.ledger.url)
    before = house.decisions()
    done = house.command("forget", FORGOTTEN, "--workflow", house.name, "--yes")
    assert done.returncode == 0, done.stderr
    assert CANARY not in (done.stdout + done.stderr).casefold()
    assert gone(house)
    # run again from a source that still holds everything: the case is the same one, and names nobody
    assert [run.outcome for run in house.nights(LAST, again=True)] == ["done"]
    assert gone(house)
    assert house.decisions() == before
    assert [f"{place}: {around}" for place, around in hits(house).items()] == []
    assert house.command("audit", "verify").returncode == 0


def gone(house: House) -> bool:
    cases, rows = house.table("cases", LAST) or [], house.table("arrivals", LAST) or []
    theirs = [row for row in cases if row["mail"] is None]
    values = {name for row in theirs for name in ("mail", "note", "town", "born", "weight") if row[name] is not None}
    return bool(theirs) and not values and not any(f'"{FORGOTTEN}"' in row["raw"] for row in rows)


#: A night that no source knows; what is sent is decided by hand.
SENT = shop.night(9)


def test_no_secret_is_heard_outside_of_where_it_is_kept(house: House, capfd: pytest.CaptureFixture[str]) -> None:
    """Everything that could make one speak is done: what fails tells of it, what is sent comes back."""
    sent = secrets.send_all(house, SENT)
    told = {row["destination"]: (row["state"], row["error_class"]) for row in sent}
    # on a slow machine the time of the silent one may be over before it was reached
    assert told.pop("is_silent") in {("dead", "no_answer"), ("dead", "unreachable")}
    assert told == {
        "repeats": ("done", None), "fails": ("dead", "http_500"), "leads_on": ("dead", "http_302"),
        "is_away": ("dead", "unreachable"), "writes": ("dead", "no_answer"), "unsigned": ("ready", None),
    }  # fmt: skip
    wrong = secrets.declare_wrong(house)
    for name in wrong:
        assert pipeline(house, "nights", name, "--from", shop.night(3), "--to", shop.night(3)) != 0, name
    secret_file = house.home / "password"
    secret_file.write_text(secrets.DESK_PASSWORD)
    assert pipeline(house, "people", "add", "kai", "--role", "admin", "--password-file", str(secret_file)) == 0
    secret_file.unlink()
    secrets.visit_the_desk(house)
    for words in (("status",), ("check",), ("doctor",), ("actions", house.name), ("hooks", "list")):
        pipeline(house, *words)
    pipeline(house, "reconcile")
    said = "".join(capfd.readouterr())
    assert "AWS_SECRET_ACCESS_KEY" in said and "PIPELINE_SECRET_CLAIMS" in said
    known = secrets.kept_secrets(house)
    found = [place for place, content in [("said", said), *contents(house)] for each in known if each in content]
    assert any(place.startswith("keys/") for place in found), "where they are kept they are seen"
    assert [place for place in found if not place.startswith("keys/") and "password" not in place] == []


def pipeline(house: House, *words: str) -> int:
    """The exit code of a command, in this process."""
    with house.entered(), mock.patch.object(sys, "argv", ["pipeline", *words]), pytest.raises(SystemExit) as end:
        cli.main()
    return int(end.value.code or 0)
