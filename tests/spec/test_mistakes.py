"""Every mistake of a file is reported, at its line, with what to write instead."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_project.domain.core.errors import PipelineError
from pipeline_project.spec import InvalidSpec, Mistake, check_file, load_spec
from pipeline_project.spec.tree import MAX_BYTES

GOOD = """\
workflow: claims
title: Claims
owners: [team:desk]
nights:
  time_zone: Europe/Berlin
  first: 2025-01-01
  decide_from: 2025-02-01
source:
  kind: table
  files:
    - path: claims.csv
fields:
  claim: {type: identifier, role: id}
  at: {type: time, role: time}
  paid_at: {type: time, required: false, known_later: true}
  customer: {type: identifier, role: subject}
  price: {type: number, role: amount, minimum: 0}
  kind: {type: category, allowed: [a, b]}
  words: {type: text, required: false}
labels: [fine, fraud]
outcome:
  kind: column
  column: verdict
  known_at: [{field: at, plus_days: 3}]
contract:
  compare: ["price < 5000"]
model:
  features: [price, kind, words]
  history: [{by: customer}]
options:
  pay:
    title: Pay
    costs: {fine: 0, fraud: 0.5 * price}
  wait:
    title: Wait
    costs: {fine: 3, others: 0}
review:
  cost: 5
  capacity: 20%
  exploration: 0.01
"""

#: Ten values, repeated a hundred times, three times over.
BOMB = b"\n".join(
    b"%c: &%c [%s]" % (name, name, b",".join([entry] * 100))
    for name, entry in zip(b"abcd", (b"x", b"*a", b"*b", b"*c"), strict=True)
)

#: what is replaced, by what, the line of the mistake, a part of its place, a part of its sentence
BROKEN = [
    # YAML itself
    ("title: Claims", "title: Claims: all", 2, "", "needs quotes"),
    ("title: Claims", "title: 'Claims", 2, "", "never closed"),
    ("labels: [fine, fraud]", "labels: [fine, fraud", 20, "", "must close with ]"),
    ("  first: 2025-01-01", "\tfirst: 2025-01-01", 6, "", "no tabs"),
    ("title: Claims", "title: @Claims", 2, "", "begins with @ needs quotes"),
    ("title: Claims", "title Claims", 3, "", "colon and a space"),
    ("title: Claims", "title: Claims\ntitle: More", 3, "title", "written twice (first in line 2)"),
    ("title: Claims", "title: !!python/object:os.system {}", 2, "title", "tag !!python/object:os.system is not read"),
    ("title: Claims", "title: *lost", 2, "", "mark a value with &lost first"),
    ("labels: [fine, fraud]", "labels: &l [fine, *l]", 20, "", "contains itself"),
    ("labels: [fine, fraud]", "labels: " + "[" * 3000, 20, "", "nested more than"),
    ("review:", "---\nreview:", 37, "", "second document"),
    ("title: Claims", "? [a]\n: 1", 2, "", "one word, not a list"),
    # keys
    ("title: Claims", "titel: Claims", 2, "titel", "did you mean `title`?"),
    ("title: Claims\n", "", 1, "title", "`title` is missing"),
    ("  decide_from: 2025-02-01\n", "", 4, "nights.decide_from", "the first night that is decided"),
    ("    title: Wait\n", "", 34, "options.wait.title", "is missing"),
    ("{by: customer}", "{by: customer, night: 4}", 29, "model.history[0].night", "did you mean `nights`?"),
    ("allowed: [a, b]", "values: [a, b]", 18, "fields.kind.values", "the keys are type, role"),
    # types, choices, bounds
    ("title: Claims", "title:", 2, "title", "has no value; write text"),
    ("title: Claims", "title: ''", 2, "title", "must be text"),
    ("owners: [team:desk]", "owners: team:desk", 3, "owners", "write [team:desk]"),
    ("owners: [team:desk]", "owners: [desk]", 3, "owners[0]", "an e-mail address, or team:name"),
    ("title: Claims", "title: Claims\ncurrency: euro", 3, "currency", "three capital letters"),
    ("type: number", "type: numeric", 17, "fields.price.type", "did you mean `number`?"),
    ("role: amount", "role: money", 17, "fields.price.role", "one of id, time, amount, subject"),
    ("first: 2025-01-01", "first: 2025-02-30", 6, "nights.first", "a day such as 2025-01-31, not `2025-02-30`"),
    ("minimum: 0", "minimum: none", 17, "fields.price.minimum", "a number, or a day"),
    ("minimum: 0", "minimum: .nan", 17, "fields.price.minimum", "a number"),
    ("minimum: 0", "minimum: 2025-01-01", 17, "fields.price.minimum", "because the type is number"),
    ("minimum: 0", "minimum: 9, maximum: 3", 17, "fields.price.maximum", "smaller than `minimum`"),
    ("minimum: 0", "allowed: [a]", 17, "fields.price.allowed", "only a category has `allowed`"),
    (
        "role: time}",
        "role: time, parts: {year: y, month: m}}",
        14,
        "fields.at.parts",
        "either `day` or `week_of_month`",
    ),
    ("role: time}", "role: time, parts: {year: y}}", 14, "fields.at.parts.month", "`month` is missing"),
    ("role: time}", "role: time, column: a, parts: {year: y, month: m, day: d}}", 14, "fields.at.parts", "out"),
    ("minimum: 0", "parts: {year: y, month: m, day: d}", 17, "fields.price.parts", "only a time"),
    ("role: time}", "role: time, parts: {year: y, month: m, day: verdict}}", 14, "fields.at", "the outcome itself"),
    ("allowed: [a, b]", "allowed: [1, b]", 18, "fields.kind.allowed[0]", 'put it in quotes: "1"'),
    ("allowed: [a, b]", "allowed: [true, b]", 18, "fields.kind.allowed[0]", 'put it in quotes: "true"'),
    ("allowed: [a, b]", "maximum: 3", 18, "fields.kind.maximum", "only numbers and times have bounds"),
    ("required: false}\nlabels", "required: maybe}\nlabels", 19, "fields.words.required", "true or false, not `maybe`"),
    ("workflow: claims", "workflow: My Claims", 1, "workflow", "write for instance my_claims"),
    ("  customer: {", "  Customer No: {", 16, "fields.Customer No", "write for instance customer_no"),
    ("labels: [fine, fraud]", "labels: [fine]", 20, "labels", "at least 2 names, and has 1"),
    ("labels: [fine, fraud]", "labels: {fine: fraud}", 20, "labels", "not a group of keys"),
    ("capacity: 20%", "capacity: 120%", 39, "review.capacity", "up to 100%"),
    ("capacity: 20%", "capacity: -1", 39, "review.capacity", "at least 0"),
    ("exploration: 0.01", "exploration: 2", 40, "review.exploration", "from 0 to 1"),
    ("exploration: 0.01", "exploration: 0.5", 40, "review.exploration", "does not fit into the capacity"),
    (
        "exploration: 0.01",
        "exploration: 0\npolicy: {exploration_budget: 5}",
        41,
        "policy.exploration_budget",
        "no random share to pay for",
    ),
    # unions
    ("kind: table", "kind: tabel", 9, "source.kind", "must be files, table or sql, not `tabel`"),
    ("  kind: table\n", "", 8, "source.kind", "`kind` is missing: files, table or sql"),
    ("kind: column", "kind: columns", 22, "outcome.kind", "must be column, files or sql"),
    ("  column: verdict\n", "", 21, "outcome.column", "is missing"),
    # one part alone
    ("Europe/Berlin", "Europe/Berlim", 5, "nights.time_zone", "write for instance Europe/Berlin"),
    ("decide_from: 2025", "decide_from: 2024", 7, "nights.decide_from", "must not come before `first`"),
    ("  first:", "  schedule: 61 2 * * *\n  first:", 6, "nights.schedule", "`61` is no minute"),
    ("path: claims.csv", "path: ${A b}/claims.csv", 11, "source.files[0].path", "${NAME:-default}"),
    ("path: claims.csv", "path: c.csv\n      encoding: utf-99", 12, "source.files[0].encoding", "latin-1"),
    ("title: Claims", "title: Claims\ntime_formats: [DD.MM.YYYY]", 3, "time_formats[0]", "%d.%m.%Y"),
    ("title: Claims", "title: Claims\ndecimal: ;", 3, "decimal", 'one of ".", ","'),
    ("owners: [team:desk]", "owners: []", 3, "owners", "and has none"),
    # between the parts
    ("claim: {type: identifier, role: id}", "claim: {type: identifier}", 12, "fields", "`role: id`"),
    ("claim: {type: identifier", "claim: {type: number", 13, "fields.claim.role", "needs the type identifier"),
    (
        "kind: {type: category,",
        "kind: {type: number, role: amount}\n  k2: {type: category,",
        18,
        "fields.kind",
        "keep one",
    ),
    ("words: {", "night: {", 19, "fields.night", "the tables use themselves"),
    ("words: {", "class: {", 19, "fields.class", "cannot stand in an expression"),
    ("[price, kind, words]", "[price, kinds]", 28, "model.features[1]", "did you mean `kind`?"),
    ("[price, kind, words]", "[price, customer]", 28, "model.features[1]", "has the role subject"),
    ("[price, kind, words]", "[paid_at]", 28, "model.features[0]", "on the night of the decision it has no value yet"),
    ("{by: customer}", "{by: paid_at}", 29, "model.history[0].by", "gives the outcome away"),
    ("known_later: true", "known_later: true, role: feature", 15, "fields.paid_at", "no model may use it"),
    ("at: {type: time, role: time}", "at: {type: time}", 11, "source.files[0]", "`role: time`, or spread"),
    ("claims.csv", "c.csv\n      spread: {first: 2024-01-01, last: 2025-01-09}", 12, "spread.first", "nights.first"),
    ("field: at", "field: kind", 24, "outcome.known_at[0].field", "there are at, paid_at"),
    ("column: verdict", "column: verdict\n  true_at: price", 24, "outcome.true_at", "price is no field of type time"),
    (
        "column: verdict",
        "column: verdict\n  learned_after: [pay, wiat]",
        24,
        "learned_after[1]",
        "did you mean `wait`?",
    ),
    ("column: verdict", "column: verdict\n  values: {0: fien}", 24, "outcome.values.0", "did you mean `fine`?"),
    ("column: verdict", "column: kind", 18, "fields.kind", "is the outcome itself"),
    ("labels: [fine, fraud]", "labels: [fine, fraud, ask_person]", 20, "labels[2]", "meaning of its own"),
    ("labels: [fine, fraud]", "labels: [fine, fraud, fraud]", 20, "labels[2]", "written twice"),
    ("  wait:", "  ask_person:", 34, "options.ask_person", "always possible"),
    ("{fine: 0, fraud: 0.5 * price}", "{fine: 0}", 33, "options.pay.costs", "no cost for fraud"),
    ("{fine: 0, fraud:", "{fine: 0, fraud: 1, freud:", 33, "options.pay.costs.freud", "did you mean `fraud`?"),
    ("0.5 * price", "0.5 * prize", 33, "options.pay.costs.fraud", "did you mean `price`?"),
    ("0.5 * price", "0.5 * words", 33, "options.pay.costs.fraud", "only numbers"),
    ("0.5 * price", "price ** 2", 33, "options.pay.costs.fraud", "Pow is not allowed"),
    ("0.5 * price", "price > 3", 33, "options.pay.costs.fraud", "where(price > 3, 10, 0)"),
    ("0.5 * price", "__import__(price)", 33, "options.pay.costs.fraud", "the functions are"),
    ("0.5 * price", "1 / 0", 33, "options.pay.costs.fraud", "divides by zero"),
    ("price < 5000", "price * 2", 26, "contract.compare[0]", "neither true nor false"),
    ("price < 5000", "kind < 5000", 26, "contract.compare[0]", "only numbers and times"),
    ("{type: text, required", "{type: image, max_length: 9, required", 19, "words.max_length", "only a text has"),
    ("labels: [", "text: {}\nimage: {}\nlabels: [", 21, "image", "no field of type image"),
]


def write(folder: Path, text: str) -> Path:
    path = folder / "claims.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_sound_file_has_no_mistakes(tmp_path: Path) -> None:
    assert check_file(write(tmp_path, GOOD)) == []


@pytest.mark.parametrize(
    ("old", "new", "line", "where", "sentence"), BROKEN, ids=[f"{n}: {b[1][:40]!r}" for n, b in enumerate(BROKEN)]
)
def test_mistake_is_named_at_its_line(tmp_path: Path, old: str, new: str, line: int, where: str, sentence: str) -> None:
    assert old in GOOD
    path = write(tmp_path, GOOD.replace(old, new, 1))
    mistakes = check_file(path)
    assert any(m.line == line and where in m.where and sentence in m.sentence for m in mistakes), mistakes
    assert not any("Input should" in m.sentence or "validation" in m.sentence for m in mistakes)
    with pytest.raises(InvalidSpec):
        load_spec(path)


def test_independent_mistakes_are_all_reported(tmp_path: Path) -> None:
    text = GOOD
    wanted = set()
    for old, new, where in [
        ("title: Claims", "titel: Claims", "titel"),
        ("type: category", "type: categry", "fields.kind.type"),
        ("known_later: true", "known_later: true, role: feature", "fields.paid_at"),
        ("fraud: 0.5 * price", "fraud: 0.5 * prize", "options.pay.costs.fraud"),
        ("{by: customer}", "{by: custmer}", "model.history[0].by"),
        ("decide_from: 2025", "decide_from: 2024", "nights.decide_from"),
        ("exploration: 0.01", "exploration: 0.9", "review.exploration"),
    ]:
        text = text.replace(old, new, 1)
        wanted.add(where)
    mistakes = check_file(write(tmp_path, text))
    assert {m.where for m in mistakes} == wanted | {"title"}
    assert mistakes == sorted(mistakes)


def test_broken_field_does_not_make_its_name_unknown(tmp_path: Path) -> None:
    mistakes = check_file(write(tmp_path, GOOD.replace("price: {type: number", "price: {type: nmber")))
    assert [m.where for m in mistakes] == ["fields.price.type"]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "empty"),
        (b"  \n\n", "empty"),
        (b"# only words\n", "only comments"),
        (b"- a\n- b\n", "begins with keys"),
        (b"words", "begins with keys"),
        (b"title: \xff\xfe", "save it as UTF-8"),
        (GOOD.encode("utf-16"), "save it as UTF-8"),
        (b"a: \x01", "control character"),
        (b"a: 1\n" * (MAX_BYTES // 4), "larger than 1 MB"),
        (b"- " * 100_000, "nested more than"),
        (BOMB, "more than 100000 values"),
    ],
)  # fmt: skip
def test_file_that_is_no_workflow(tmp_path: Path, content: bytes, sentence: str) -> None:
    path = tmp_path / "claims.yaml"
    path.write_bytes(content)
    (mistake,) = check_file(path)
    assert sentence in mistake.sentence


def test_missing_file_and_folder(tmp_path: Path) -> None:
    assert "No such file" in check_file(tmp_path / "none.yaml")[0].sentence
    assert "cannot be read" in check_file(tmp_path)[0].sentence


def test_url_with_a_password_is_not_repeated(tmp_path: Path) -> None:
    text = GOOD.replace(
        "  kind: table\n  files:\n    - path: claims.csv\n",
        "  kind: sql\n  url_variable: postgresql://desk:hunter2@db/claims\n  query: select 1\n",
    )
    mistakes = check_file(write(tmp_path, text))
    assert {m.where for m in mistakes} == {"source.url_variable", "source.query"}
    assert "hunter2" not in str(mistakes)


def test_invalid_spec_lists_every_mistake(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD.replace("labels: [fine, fraud]", "labels: [fine]").replace("cost: 5", "cost: -5"))
    with pytest.raises(PipelineError) as raised:
        load_spec(path)
    lines = str(raised.value).splitlines()
    assert lines[0].startswith(f"{path}:20:1: labels: ")
    assert f"{path}:38:3: review.cost: must be a number of at least 0, not `-5`" in lines


def test_mistake_is_printed_as_editors_know_it() -> None:
    assert str(Mistake(Path("a.yaml"), 3, 1, "title", "is missing")) == "a.yaml:3:1: title: is missing"


@settings(max_examples=300)
@given(text=st.text())
def test_no_text_makes_checking_fail(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzz.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    assert check_file(path)


@settings(max_examples=300)
@given(
    cut=st.integers(0, len(GOOD)),
    until=st.integers(0, 40),
    insert=st.sampled_from(
        ["", "[", "]", "{", "}", ":", "- ", "\n", "  ", "&a ", "*a", "!!set", "'", "#", "null", "1", "<<: ", "[key]"]
    ),
)
def test_no_edit_makes_checking_fail(
    cut: int, until: int, insert: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzz.yaml"
    path.write_text(GOOD[:cut] + insert + GOOD[cut + until :], encoding="utf-8")
    for mistake in check_file(path):
        assert mistake.line >= 1
        assert mistake.sentence


def test_of_very_many_mistakes_the_first_are_told_and_the_rest_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[str] = []

    def counting(name: str, names: object, **options: object) -> list[str]:
        compared.append(name)
        return []

    monkeypatch.setattr("difflib.get_close_matches", counting)
    text = GOOD + "".join(f"title{n}: x\n" for n in range(3_000))
    found = check_file(write(tmp_path, text))
    assert len(found) == 21
    assert found[-1].sentence == "from here on 2,980 more are wrong in the same way as those above"
    assert len(compared) == 20, "each comparison goes through all names"


def test_wrong_entries_below_many_parts_are_told_once(tmp_path: Path) -> None:
    wrong = "".join(f"  f{n}: {{type: numbr}}\n" for n in range(1_000))
    found = check_file(write(tmp_path, GOOD.replace("labels:", f"{wrong}labels:")))
    assert len(found) == 501
    assert "500 more" in found[-1].sentence


def test_more_labels_than_costs_can_be_given_for(tmp_path: Path) -> None:
    many = ", ".join(f"l{n}" for n in range(1_100))
    found = check_file(write(tmp_path, GOOD.replace("[fine, fraud]", f"[fine, fraud, {many}]")))
    assert [mistake.sentence for mistake in found] == ["has 1,102 entries; there may be 1,000"]


@pytest.mark.parametrize("pattern", ["%a, %d %b %Y %H:%M:%S %z", "%d.%m.%Y %H:%M %Z", "epoch_ms", "excel", "%Y%m%d"])
def test_patterns_of_times_that_may_be_declared(tmp_path: Path, pattern: str) -> None:
    assert check_file(write(tmp_path, f"{GOOD}time_formats: ['{pattern}']\n")) == []


@pytest.mark.parametrize(
    ("key", "sentence"), [("delimiter: '\"'", "cannot be a quote"), ("encoding: zlib", "no encoding")]
)
def test_what_no_file_can_be_written_with(tmp_path: Path, key: str, sentence: str) -> None:
    (found,) = check_file(write(tmp_path, GOOD.replace("path: claims.csv", f"path: claims.csv\n      {key}")))
    assert sentence in found.sentence


def test_marks_between_thousands(tmp_path: Path) -> None:
    good = GOOD + "decimal: ','\n"
    assert check_file(write(tmp_path, f"{good}thousands: '.'\n")) == []
    assert check_file(write(tmp_path, f"{good}thousands: ['.', ' ']\nnumber_forms: [currency]\n")) == []
    (found,) = check_file(write(tmp_path, f"{good}thousands: ','\n"))
    assert "is the decimal mark already" in found.sentence
