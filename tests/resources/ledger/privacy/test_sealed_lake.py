from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import Engine, text

from pipeline_project.domain.core.schema import ARRIVALS, QUARANTINE, CaseSchema, Field, FieldType, Role, cases_schema
from pipeline_project.domain.intake.lookups.terms import LOOKUP_ROWS_SCHEMA
from pipeline_project.domain.privacy.fields import PersonalFields
from pipeline_project.domain.privacy.hashes import keyed
from pipeline_project.domain.privacy.seal import is_sealed
from pipeline_project.operations.rehashing import put_under_key
from resources.lake.lake import DeltaLake
from resources.lake.sealed import SealedLake
from resources.ledger.nights.ledger import PostgresLedger
from resources.ledger.privacy.keyring import PostgresKeyring
from resources.postgres.databases import engine_of
from tests.present import present

NIGHT = "2025-03-01"
BORN = datetime(1981, 5, 4, 3, 2, 1, 7, tzinfo=UTC)
SCHEMA = CaseSchema(
    fields=(
        Field("claim", FieldType.IDENTIFIER, "claim_no", Role.ID),
        Field("customer", FieldType.IDENTIFIER, "customer_no", Role.SUBJECT, pii=True),
        Field("message", FieldType.TEXT, "message", required=False, pii=True),
        Field("born", FieldType.TIME, "born", required=False, pii=True),
        Field("weight", FieldType.NUMBER, "weight", required=False, pii=True),
        Field("price", FieldType.NUMBER, "price"),
    ),
    time_zone="UTC",
    missing=frozenset({"", "n/a"}),
)
ANNA, BERT = "KANARIE-anna", "KANARIE-bert"
CASES = pa.table(
    {
        "night": [NIGHT] * 3,
        "case_id": ["a", "b", "c"],
        "row_sha256": ["1", "2", "3"],
        "content_sha256": [None, None, None],
        "customer": [ANNA, BERT, None],
        "message": ["KANARIE-broken", None, "KANARIE-nobody"],
        "born": [BORN, None, None],
        "weight": [61.5, 0.1, None],
        "price": [1.0, 2.0, 3.0],
    },
    schema=cases_schema(SCHEMA),
)


def raw(**values: str) -> str:
    return json.dumps(values)


RAW = [
    raw(claim_no="a", customer_no=f" {ANNA} ", message="KANARIE-broken", price="1", address="KANARIE-street"),
    raw(claim_no="b", customer_no="n/a", message="KANARIE-nobody", price="KANARIE"),
    raw(line="KANARIE;torn"),
]
ROWS = pa.table(
    {
        "night": [NIGHT] * 3,
        "file": ["f"] * 3,
        "file_sha256": ["0"] * 3,
        "line": [2, 3, 4],
        "row_sha256": ["1", "2", "3"],
        "raw": RAW,
        "problem": [None, None, "torn"],
    },
    schema=ARRIVALS,
)


@pytest.fixture
def engine(ledger: PostgresLedger, ledger_database: str) -> Engine:
    return engine_of(ledger_database)


@pytest.fixture
def lake(engine: Engine, tmp_path: Path) -> SealedLake:
    known = {"w": PersonalFields.of(SCHEMA, ["weight", "town"])}
    return SealedLake(str(tmp_path / "lake"), known.get, lambda: PostgresKeyring(engine, tmp_path / "keys"))


def forget(engine: Engine, name: str | None) -> None:
    with engine.begin() as connection:
        connection.execute(
            text(
                "UPDATE subject_keys SET wrapped_key = NULL, sealed_id = NULL, forgotten_at = now(), "
                "forgotten_by = 'test' WHERE pseudonym = :name"
            ),
            {"name": name},
        )


def everything_in(folder: Path) -> str:
    """All that lies in a lake, columns of parquet files unpacked."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert any(path.suffix == ".parquet" for path in files)
    return "\n".join(
        str(pq.ParquetFile(path).read().to_pylist())
        if path.suffix == ".parquet"
        else path.read_bytes().decode(errors="replace")
        for path in files
    )


def test_cases_come_back_as_they_were_but_for_the_subject(lake: SealedLake) -> None:
    lake.write_night("w", "cases", NIGHT, CASES)
    found = lake.read_night("w", "cases", NIGHT)
    assert found is not None
    assert found.schema.remove_metadata().types == CASES.schema.types
    others = ["customer", "row_sha256"]
    assert found.drop_columns(others).to_pylist() == CASES.drop_columns(others).to_pylist()
    assert found["customer"].to_pylist() == lake.keyring.pseudonyms([ANNA, BERT, None])
    some = lake.read_span("w", "cases", None, "2025-04-01", ["case_id", "born"])
    assert some is not None and some.to_pylist()[0] == {"case_id": "a", "born": BORN}


def test_nothing_personal_lies_in_the_lake(lake: SealedLake, tmp_path: Path) -> None:
    lake.write_night("w", "cases", NIGHT, CASES)
    lake.write_night("w", "arrivals", NIGHT, ROWS)
    content = everything_in(tmp_path / "lake")
    assert "KANARIE" not in content and "61.5" not in content and "1981-05-04" not in content
    sealed = lake.read_sealed("w", "cases", NIGHT)
    assert sealed is not None and all(is_sealed(token) for token in sealed["weight"].to_pylist()[:2])


def test_a_night_written_twice_lies_there_the_same(lake: SealedLake) -> None:
    for _ in range(2):
        lake.write_night("w", "cases", NIGHT, CASES)
        lake.write_night("w", "arrivals", NIGHT, ROWS)
    first, last = (lake.read_sealed("w", "cases", NIGHT), lake.read_sealed("w", "arrivals", NIGHT))
    again = lake.read_night("w", "cases", NIGHT)
    assert again is not None
    lake.write_night("w", "cases", NIGHT, again)
    for before, asset in ((first, "cases"), (last, "arrivals")):
        now = lake.read_sealed("w", asset, NIGHT)
        assert before is not None and now is not None and now.to_pylist() == before.to_pylist()


def test_rows_come_back_to_the_letter(lake: SealedLake) -> None:
    lake.write_night("w", "arrivals", NIGHT, ROWS)
    found = lake.read_night("w", "arrivals", NIGHT)
    assert found is not None
    assert found.drop_columns(["row_sha256"]).to_pylist() == ROWS.drop_columns(["row_sha256"]).to_pylist()


def test_a_forgotten_subject_leaves_a_case_without_personal_values(lake: SealedLake, engine: Engine) -> None:
    lake.write_night("w", "cases", NIGHT, CASES)
    lake.write_night("w", "arrivals", NIGHT, ROWS)
    (anna,) = lake.keyring.pseudonyms([ANNA])
    forget(engine, anna)
    for _ in range(2):  # as it lay there, and written anew from a source that still has everything
        cases, rows = lake.read_night("w", "cases", NIGHT), lake.read_night("w", "arrivals", NIGHT)
        assert cases is not None and rows is not None
        first = cases.to_pylist()[0]
        assert (first["customer"], first["message"], first["born"], first["weight"]) == (anna, None, None, None)
        assert first["price"] == 1.0 and cases.to_pylist()[2]["message"] == "KANARIE-nobody"
        left = json.loads(rows["raw"].to_pylist()[0])
        assert left == {"claim_no": "a", "customer_no": anna, "price": "1"}
        assert rows["raw"].to_pylist()[1:] == RAW[1:]
        lake.write_night("w", "cases", NIGHT, CASES)
        lake.write_night("w", "arrivals", NIGHT, ROWS)


def test_what_lay_there_before_it_was_personal_is_read(lake: SealedLake) -> None:
    old = CASES.drop_columns(["born", "weight"])
    lake.write_sealed("w", "cases", NIGHT, old)
    found = lake.read_night("w", "cases", NIGHT)
    assert found is not None and found["message"].to_pylist() == old["message"].to_pylist()
    assert found["customer"].to_pylist() == lake.keyring.pseudonyms([ANNA, BERT, None])


def test_without_personal_values_no_keyring_is_opened(tmp_path: Path) -> None:
    def never() -> PostgresKeyring:
        raise AssertionError("opened")

    known = {"w": PersonalFields.of(SCHEMA, ["weight", "town"])}
    lake = SealedLake(str(tmp_path / "lake"), known.get, never)
    lake.write_night("plain", "cases", NIGHT, CASES)
    assert lake.read_night("plain", "cases", NIGHT) is not None
    lake.write_night("w", "cases", NIGHT, CASES.slice(0, 0))
    lake.write_night("w", "arrivals", NIGHT, ROWS.slice(0, 0))
    assert lake.read_span("w", "cases", None, "2025-04-01", ["case_id"]) is not None
    assert present(lake.read_night("w", "cases", NIGHT)).schema.types == CASES.schema.types


REFUSED = pa.table(
    {
        "night": [NIGHT] * 2,
        "case_id": ["a", None],
        "file": ["f"] * 2,
        "line": [2, 3],
        "row_sha256": ["1", "2"],
        "reasons": [["price: 'KANARIE' is not a number", "KANARIE@vogel.example broke the rule `x`"], []],
        "raw": RAW[:2],
    },
    schema=QUARANTINE,
)


def test_reasons_quote_nobody_who_was_forgotten(lake: SealedLake, engine: Engine, tmp_path: Path) -> None:
    lake.write_night("w", "quarantine", NIGHT, REFUSED)
    assert "KANARIE" not in everything_in(tmp_path / "lake")
    found = lake.read_night("w", "quarantine", NIGHT)
    assert found is not None
    assert found.drop_columns(["row_sha256"]).to_pylist() == REFUSED.drop_columns(["row_sha256"]).to_pylist()
    forget(engine, lake.keyring.pseudonyms([ANNA])[0])
    left = lake.read_night("w", "quarantine", NIGHT)
    assert left is not None
    assert left["reasons"].to_pylist() == [["price: “…” is not a number", "••• broke the rule `x`"], []]


def test_features_made_of_a_personal_field_are_sealed_as_it_is(
    lake: SealedLake, engine: Engine, tmp_path: Path
) -> None:
    rows = {"night": [NIGHT] * 2, "case_id": ["a", "b"], "number_weight": [61.5, None], "number_price": [1.0, 2.0]}
    training = pa.table({**rows, "category_town": ["KANARIE", None]})
    lake.write_night("w", "cases", NIGHT, CASES)
    lake.write_night("w", "training_set", NIGHT, training)
    content = everything_in(tmp_path / "lake")
    assert "KANARIE" not in content and "61.5" not in content
    found = lake.read_night("w", "training_set", NIGHT)
    assert found is not None and found.to_pylist() == training.to_pylist()
    forget(engine, lake.keyring.pseudonyms([ANNA])[0])
    left = lake.read_night("w", "training_set", NIGHT)
    assert left is not None
    assert left.to_pylist()[0] == {**training.to_pylist()[0], "number_weight": None, "category_town": None}


def test_hashes_lie_under_a_key_and_old_nights_meet_new_ones(lake: SealedLake, tmp_path: Path) -> None:
    plain = [hashlib.sha256(text.encode()).hexdigest() for text in ("anna|61.5", "bert|0.1", "nobody")]
    old = _hashed(CASES, NIGHT, plain, [*plain[:2], None])
    # written before hashes were under a key: the door that does not seal wrote so
    fields = PersonalFields.of(SCHEMA, ["weight", "town"])
    assert fields is not None
    DeltaLake(str(tmp_path / "lake")).write_night("w", "cases", NIGHT, lake._sealed_cases(old, fields))
    lake.write_night("w", "cases", "2025-03-02", _hashed(CASES, "2025-03-02", plain, [*plain[:2], None]))
    lake.write_night("w", "arrivals", "2025-03-02", _hashed(ROWS, "2025-03-02", plain))
    both = lake.read_span("w", "cases", None, "9999-12-31", ["night", "row_sha256", "content_sha256"])
    arrived = lake.read_night("w", "arrivals", "2025-03-02")
    assert both is not None and arrived is not None
    under_key = lake.keyed("w", plain)
    for name, wanted in (("row_sha256", under_key), ("content_sha256", [*under_key[:2], None])):
        assert both[name].to_pylist() == wanted * 2
    assert arrived["row_sha256"].to_pylist() == under_key, "arrivals and cases are told by the same hash"
    assert lake.keyed("w", under_key) == under_key and lake.keyed("another", plain) == plain
    assert len({*plain, *under_key}) == 6
    assert put_under_key(lake, "w") == 1 and put_under_key(lake, "w") == 0
    for night in (NIGHT, "2025-03-02"):
        lying = lake.read_sealed("w", "cases", night)
        assert lying is not None and lying["row_sha256"].to_pylist() == under_key
        assert not any(each in str(lying.to_pylist()) for each in plain)
    assert lake.read_span("w", "cases", None, "9999-12-31", ["night", "row_sha256", "content_sha256"]) == both


def test_without_the_key_no_value_can_be_tried(lake: SealedLake, engine: Engine, tmp_path: Path) -> None:
    guess = hashlib.sha256(b"anna|61.5").hexdigest()
    other = PostgresKeyring(engine, tmp_path / "keys").hashes([guess, None])
    assert lake.keyed("w", [guess]) == other[:1] and other[1] is None
    assert keyed(guess, b"another key") != other[0]
    assert guess not in str(other[0])


def _hashed(table: pa.Table, night: str, rows: list[str], contents: list[str | None] | None = None) -> pa.Table:
    new = {"night": [night] * len(rows), "row_sha256": rows, **({"content_sha256": contents} if contents else {})}
    for name, values in new.items():
        table = table.set_column(
            table.column_names.index(name), table.schema.field(name), pa.array(values, pa.string())
        )
    return table


def test_rows_of_reference_tables_are_sealed_for_whom_they_are_about(
    lake: SealedLake, engine: Engine, tmp_path: Path
) -> None:
    cells = [{"customer": ANNA, "town": "KANARIE-town"}, {"customer": BERT, "town": "KANARIE-other"}, {"price": "5"}]
    rows = pa.table(
        {
            "night": [NIGHT] * 3, "lookup": ["customers"] * 2 + ["prices"], "content": ["c"] * 3,
            "known_at": pa.nulls(3, pa.timestamp("us", tz="UTC")), "subject": [ANNA, BERT, None],
            "raw": [json.dumps(row) for row in cells],
        },
        schema=LOOKUP_ROWS_SCHEMA,
    )  # fmt: skip
    lake.write_night("w", "lookup_rows", NIGHT, rows)
    content = everything_in(tmp_path / "lake")
    assert "KANARIE" not in content and ANNA not in content and "price" in content
    kept = lake.read_night("w", "lookup_rows", NIGHT)
    assert kept is not None and [json.loads(raw) for raw in kept["raw"].to_pylist()] == cells
    # written again beside new rows, as a night that runs again does
    lake.write_night("w", "lookup_rows", NIGHT, kept)
    forget(engine, lake.keyring.pseudonyms([ANNA])[0])
    left = lake.read_night("w", "lookup_rows", NIGHT)
    assert left is not None and [json.loads(raw) for raw in left["raw"].to_pylist()] == [{}, *cells[1:]]
