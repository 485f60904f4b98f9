"""`pipeline forget`, `retention`, `hold` and `keys`, called as from a shell."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipeline_project.commands.shared.console import Exit
from pipeline_project.container.privacy import open_sealed_lake
from pipeline_project.domain.core.schema import ARRIVALS, cases_schema
from pipeline_project.domain.vectors.modalities import EMBEDDINGS
from pipeline_project.spec.load import load_spec
from resources.lake.sealed import SealedLake
from resources.ledger.privacy.forgetting import Forgetting
from resources.ledger.privacy.keyring import PostgresKeyring
from resources.postgres.databases import databases, engine_of
from tests.commands.conftest import _SPEC, Call, Home, Said

TODAY = datetime.now(UTC).date()
OLD, YOUNG = ((TODAY - timedelta(days=days)).isoformat() for days in (40, 2))


class Shop:
    """A workflow of its own with two nights, each with a case of one subject of its own name."""

    def __init__(self, call: Call, home: Home, folder: Path) -> None:
        self.name = f"private_{uuid.uuid4().hex[:8]}"
        self.subject = f"customer-{uuid.uuid4().hex[:8]}"
        spec = {**_SPEC, "workflow": self.name, "retention": {"arrivals": 30, "cases": 30, "photos": 30, "notes": 30}}
        fields = {**spec["fields"], "message": {"type": "text", "required": False, "pii": True}}
        spec |= {"fields": fields, "nights": {**spec["nights"], "first": "2020-01-01", "decide_from": "2020-01-01"}}
        file = folder / f"{self.name}.yaml"
        file.write_text(json.dumps(spec, indent=1), encoding="utf-8")
        # the ledger is the home's, so its checkpoints are the home's as well
        places = {"PIPELINE_HOME": str(folder / "home"), "PIPELINE_CHECKPOINTS": home.settings.checkpoints}
        self.environ = {**home.environ, **places, "PIPELINE_WORKFLOWS": str(folder)}
        self._call = call
        self.settings = type(home.settings).from_environ(self.environ)
        self.lake: SealedLake = open_sealed_lake(self.settings)
        schema = cases_schema(load_spec(file).case_schema)
        for night in (OLD, YOUNG):
            place = {"night": night, "case_id": night, "row_sha256": "0" * 64}
            case = {**place, "customer": self.subject, "price": 1.0, "message": "the lamp hums"}
            raw = json.dumps({"claim_id": night, "customer": self.subject, "price": "1", "message": "the lamp hums"})
            row = {**place, "file": "f", "file_sha256": "0", "line": 2, "raw": raw, "problem": None}
            vectors = {**place, "text_vector": b"\1\2", "photo_keys": ["p"], "text_key": "t"}
            for asset, schema_of, values in (
                ("cases", schema, case), ("arrivals", ARRIVALS, row), ("embeddings", EMBEDDINGS, vectors),
            ):  # fmt: skip
                self.lake.write_night(self.name, asset, night, pa.Table.from_pylist([values], schema_of))

    def __call__(self, *words: object) -> Said:
        return self._call(*words, **self.environ)

    def said(self, *words: object) -> Any:
        done = self(*words, "--json")
        assert done.code == Exit.DONE, done.err
        return done.document

    def row(self, asset: str, night: str) -> dict[str, Any]:
        found = self.lake.read_night(self.name, asset, night)
        assert found is not None
        return dict(found.to_pylist()[0])


@pytest.fixture
def shop(call: Call, home: Home, tmp_path: Path) -> Shop:
    return Shop(call, home, tmp_path)


def test_forget_shows_what_goes_and_asks_first(shop: Shop) -> None:
    asked = shop("forget", shop.subject, "--workflow", shop.name)
    assert asked.code != Exit.DONE and f"2 of {shop.name}" in asked.out
    assert shop.row("cases", OLD)["message"] == "the lamp hums"
    assert shop.subject not in asked.out + asked.err
    assert shop("forget", shop.subject, "--workflow", shop.name, "--json").code == Exit.WRONG_CALL


def test_forget_leaves_a_case_that_names_nobody(shop: Shop) -> None:
    pseudonym = shop.row("cases", OLD)["customer"]
    done = shop.said("forget", shop.subject, "--workflow", shop.name, "--yes")
    assert done == {
        "pseudonym": pseudonym, "forgotten": True, "cases": {shop.name: 2}, "tasks": {}, "vectors": 2,
    }  # fmt: skip
    for night in (OLD, YOUNG):
        case, raw, vectors = (shop.row(asset, night) for asset in ("cases", "arrivals", "embeddings"))
        assert (case["customer"], case["message"], case["price"]) == (pseudonym, None, 1.0)
        assert json.loads(raw["raw"]) == {"claim_id": night, "customer": pseudonym, "price": "1"}
        assert (vectors["text_vector"], vectors["text_key"], vectors["photo_keys"]) == (None, None, [])
    again = shop.said("forget", pseudonym, "--workflow", shop.name)
    assert again["forgotten"] is False
    assert shop("audit", "verify").code == Exit.DONE


def test_forget_knows_no_strangers(shop: Shop) -> None:
    assert shop("forget", "stranger", "--workflow", shop.name, "--yes").code == Exit.NOT_FOUND
    assert shop("forget", shop.subject, "--workflow", "strange", "--yes").code == Exit.NOT_FOUND


@pytest.mark.parametrize("on_workflow", [True, False])
def test_a_hold_stands_against_forgetting_and_retention(shop: Shop, on_workflow: bool) -> None:
    on = ("--workflow", shop.name) if on_workflow else ("--subject", shop.subject)
    number = shop.said("hold", "add", *on, "--reason", "court")["hold"]
    assert number in [hold["number"] for hold in shop.said("hold", "list")]
    refused = shop("forget", shop.subject, "--workflow", shop.name, "--yes")
    assert refused.code == Exit.NIGHT_FAILED and f"hold {number}" in refused.err
    told = shop.said("retention", "--workflow", shop.name)["erased"]
    assert [(one["data"], one["when"], one["rows"], one["held"]) for one in told] == [
        (data, OLD, 0, 1) for data in ("arrivals", "cases", "photos")
    ]
    assert shop.row("cases", OLD)["message"] == "the lamp hums"
    shop.said("hold", "lift", number)
    assert shop("hold", "lift", number).code == Exit.NIGHT_FAILED
    assert shop.said("forget", shop.subject, "--workflow", shop.name, "--yes")["forgotten"] is True


def test_retention_erases_what_is_due_once(shop: Shop) -> None:
    due = [(data, OLD, 1, 0) for data in ("arrivals", "cases", "photos")]

    def told(*words: str) -> list[tuple[object, ...]]:
        found = shop.said("retention", "--workflow", shop.name, *words)["erased"]
        return [(one["data"], one["when"], one["rows"], one["held"]) for one in found]

    assert told("--dry-run") == due
    assert shop.row("arrivals", OLD)["raw"] != "{}"
    assert told() == due
    assert told() == told("--dry-run") == []
    case, raw, vectors = (shop.row(asset, OLD) for asset in ("cases", "arrivals", "embeddings"))
    assert (case["message"], case["price"], raw["raw"], vectors["text_vector"]) == (None, 1.0, "{}", None)
    assert shop.row("cases", YOUNG)["message"] == "the lamp hums"
    assert shop("audit", "verify").code == Exit.DONE


def test_notes_go_by_the_month(shop: Shop) -> None:
    url = databases(shop.settings).ledger_url
    ring = PostgresKeyring(engine_of(url), shop.settings.keys)
    (name,) = ring.pseudonyms([shop.subject])
    tokens = ring.seal([name], f"note/{shop.name}", ["was rude"])
    assert shop.said("retention", "--workflow", shop.name, "--dry-run")["erased"][-1]["data"] == "photos"
    retaining_days = {"notes": 30}
    from pipeline_project.domain.privacy.retention import DataClass
    from pipeline_project.operations.retention import Retaining

    later = TODAY + timedelta(days=70)
    retaining = Retaining(shop.lake, engine_of(url), shop.name, None)
    terms: dict[DataClass, int | None] = {DataClass.NOTES: retaining_days["notes"]}
    assert [one.when for one in retaining.run(terms, later, dry=True)] == [f"{TODAY:%Y-%m}"]
    assert ring.open(tokens) == ["was rude"]
    number = Forgetting(engine_of(url)).hold(shop.name, None, "court", "shell:me")
    assert [(one.rows, one.held) for one in retaining.run(terms, later, dry=False)] == [(0, 1)]
    Forgetting(engine_of(url)).lift(number, "shell:me")
    assert [(one.rows, one.held) for one in retaining.run(terms, later, dry=False)] == [(1, 0)]
    assert ring.open(tokens) == [None]
    assert retaining.run(terms, later, dry=False) == []


def test_keys_rotate_and_everything_still_opens(shop: Shop) -> None:
    told = shop.said("keys", "rotate", "--destroy-old")
    assert told["wrapped"] >= 1 and told["masters"] == [told["master"]]
    assert shop.row("cases", OLD)["message"] == "the lamp hums"
