from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest

from pipeline_project.domain.core.schema import CaseSchema, Field, FieldType, Role
from pipeline_project.domain.privacy.fields import PersonalFields, as_text, from_text, row_parts, row_token
from pipeline_project.domain.privacy.seal import NOBODY, token_of

FIELDS = (
    Field("claim", FieldType.IDENTIFIER, "claim no", Role.ID),
    Field("customer", FieldType.IDENTIFIER, "customer no", Role.SUBJECT),
    Field("message", FieldType.TEXT, "message", pii=True),
    Field("photos", FieldType.IMAGE, "photos", pii=True),
    Field("price", FieldType.NUMBER, "price"),
)
SCHEMA = CaseSchema(FIELDS, "UTC", missing=frozenset({"", "-"}))


def personal(schema: CaseSchema = SCHEMA) -> PersonalFields:
    found = PersonalFields.of(schema, ["age"])
    assert found is not None
    return found


def test_a_workflow_without_personal_fields_has_none() -> None:
    assert PersonalFields.of(CaseSchema(FIELDS[:2], "UTC")) is None


def test_what_is_sealed_and_what_is_kept() -> None:
    found = personal()
    assert found.sealed == {"message": FieldType.TEXT} and found.subject == "customer"
    assert found.kept == {"claim no", "photos", "price"}
    assert found.features == {"number_age": FieldType.NUMBER, "category_age": FieldType.CATEGORY}


@pytest.mark.parametrize(
    ("row", "subject"),
    [({"customer no": " C-1 "}, "C-1"), ({"customer no": "-"}, None), ({"customer no": ""}, None), ({}, None)],
)
def test_a_subject_is_spelled_as_its_case_does(row: dict[str, str], subject: str | None) -> None:
    assert personal().subject_of(json.dumps(row)) == subject


def test_the_rest_of_a_row_names_a_pseudonym_and_nothing_undeclared() -> None:
    row = json.dumps({"claim no": "7", "customer no": "C-1", "message": "m", "price": "3", "street": "s"})
    assert json.loads(personal().rest_of(row, "s-x")) == {"claim no": "7", "price": "3", "customer no": "s-x"}
    assert json.loads(personal().rest_of(row, None)) == {"claim no": "7", "price": "3"}
    assert personal().rest_of('["torn"]', None) == "{}"


def test_an_id_made_of_personal_values_leaves_no_rest() -> None:
    """Of what is left another id would be made, and with it another case, and another decision."""
    found = personal(CaseSchema(FIELDS[1:], "UTC", id_from=("customer no", "price")))
    assert found.rest_of(json.dumps({"customer no": "C-1", "price": "3"}), "s-x") == "{}"
    kept = personal(CaseSchema(FIELDS[1:], "UTC", id_from=("order", "price")))
    assert json.loads(kept.rest_of(json.dumps({"order": "1", "price": "3"}), None)) == {"order": "1", "price": "3"}


def test_a_row_is_two_tokens_or_one() -> None:
    whole, rest = token_of(NOBODY, b"w"), token_of(NOBODY, b"r")
    assert row_parts(row_token(whole, rest)) == (whole, rest)
    assert row_parts(row_token(None, rest)) == (None, rest)
    for text in ("{}", '{"a": "b c"}', f"x {rest}", whole):
        assert row_parts(text) is None


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (datetime(1931, 7, 23, 4, 5, 6, 7, tzinfo=UTC), FieldType.TIME),
        (datetime(2025, 1, 1, tzinfo=timezone(timedelta(hours=2))), FieldType.TIME),
        (0.1, FieldType.NUMBER),
        (-1e300, FieldType.NUMBER),
        ("", FieldType.TEXT),
        (None, FieldType.NUMBER),
    ],
)
def test_values_come_back_exactly(value: object, kind: FieldType) -> None:
    assert from_text(as_text(value), kind) == value
