"""Mistakes about reference tables and the fields that are taken from them, each with what to write instead."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline_project.spec import check_file, load_spec
from tests.spec.test_mistakes import GOOD

LOOKUPS = """\
lookups:
  products:
    kind: file
    path: products.csv
    key: {kind: code}
    valid_from: since
  makers:
    kind: files
    folder: in
    pattern: makers_{night}.csv
    key: {maker: name}
    near: {at_least: 88}
"""
TAKEN = """\
  maker: {type: category, lookup: products, required: false}
  list_price: {type: number, lookup: products, column: price}
  rating: {type: number, lookup: makers}
  alike: {type: number, lookup: makers, column: match_score, required: false}
"""
SOUND = GOOD.replace("labels: [", f"{TAKEN}labels: [", 1) + LOOKUPS

BROKEN = [
    ("lookup: makers}", "lookup: maker}", "fields.rating.lookup", "did you mean `makers`?"),
    ("list_price: {type: number,", "list_price: {type: number, role: time,", "fields.list_price.role", "case's own"),
    ("list_price: {type: number,", "list_price: {type: image,", "fields.list_price.type", "photos are those"),
    ("list_price: {type: number,", "list_price: {type: number, known_later: true,", "known_later", "take"),
    ("alike: {type: number", "alike: {type: category", "fields.alike.type", "a number from 0 to 100"),
    ("    valid_from: since\n", "", "lookups.products", "`always_known: true`"),
    ("valid_from: since", "valid_to: a\n    last_day: b\n    known_at: c", "lookups.products.last_day", "keep one"),
    ("key: {kind: code}", "key: {kid: code}", "lookups.products.key.kid", "did you mean `kind`?"),
    ("key: {kind: code}", "key: {maker: code}", "lookups.products.key.maker", "write products above"),
    ("key: {kind: code}", "key: {paid_at: code}", "lookups.products.key.paid_at", "Use another field"),
    ("at_least: 88", "of: kind", "lookups.makers.near.of", "no field of the key"),
    ("{maker: name}", "{maker: name, kind: code}", "lookups.makers.near", "say with `of`"),
    ("at_least: 88", "by: soundex", "lookups.makers.near.by", "token_sort_ratio"),
    ("words: {type: text,", "words: {type: text, pii: true, ", "", ""),
    ("rating: {type: number,", "rating: {type: number, pii: true,", "lookups.makers", "with `subject`"),
    (
        "rating: {type: number, lookup: makers}",
        "rating: {type: number, lookup: makers, pii: true}\n  x: {type: text, lookup: products}",
        "lookups.makers",
        "with `subject`",
    ),
    (
        "pattern: makers_{night}.csv",
        "pattern: m_{night}.csv\n    each: additions",
        "lookups.makers.each",
        "`valid_from`",
    ),
    ("lookup: makers", "lookup: products", "lookups.makers", "no field takes anything from it"),
    ("kind: file\n", "kind: folder\n", "lookups.products.kind", "file, files or sql"),
]


def write(folder: Path, text: str) -> Path:
    path = folder / "claims.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_sound_spec_says_what_is_looked_up(tmp_path: Path) -> None:
    path = write(tmp_path, SOUND)
    assert check_file(path) == []
    products, makers = load_spec(path).lookup_terms
    assert products.columns == ("code", "maker", "price", "since")
    assert products.required
    assert makers.columns == ("name", "rating")
    assert makers.near is not None
    assert makers.near.field == "maker"
    assert all(field.columns == () for field in makers.fields)


@pytest.mark.parametrize(("old", "new", "where", "sentence"), BROKEN)
def test_each_mistake_is_named(tmp_path: Path, old: str, new: str, where: str, sentence: str) -> None:
    assert old in SOUND
    mistakes = check_file(write(tmp_path, SOUND.replace(old, new)))
    named = [mistake for mistake in mistakes if where in mistake.where and sentence in mistake.sentence]
    assert named if where else not mistakes, mistakes


def test_a_spec_without_lookups_keeps_its_hash(tmp_path: Path) -> None:
    plain = load_spec(write(tmp_path, GOOD))
    assert "lookups" not in plain.model_dump(mode="json")
    assert "lookup" not in plain.model_dump(mode="json")["fields"]["price"]
    assert load_spec(write(tmp_path, SOUND)).spec_hash != plain.spec_hash


def test_what_is_looked_up_has_a_place_in_costs_and_contracts(tmp_path: Path) -> None:
    used = SOUND.replace("0.5 * price", "0.5 * list_price").replace("price < 5000", "price <= 2 * list_price")
    assert check_file(write(tmp_path, used.replace("[price, kind, words]", "[price, list_price, rating]"))) == []
