"""What is wrong with `features` and `series` is told with what to write, and what is not said changes no hash."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline_project.domain.features.series import SeriesFigure
from pipeline_project.spec import check_file, load_spec
from tests.spec.test_mistakes import GOOD

SERIES = "series:\n  sensor:\n    key: kind\n    source: {kind: table, files: [{path: rows.csv}]}\n    at: read_at\n"

#: what stands at the end of the file, a part of the mistake's place, a part of its sentence
BROKEN = [
    ("features: {claims: counts by customer over 30 days}", "features.claims", "is no figure; there are count,"),
    ("features: {claims: count by customer}", "features.claims", "write what, of whom and how far back"),
    ("features: {claims: count by custumer over 30 days}", "features.claims", "did you mean `customer`?"),
    ("features: {price: count by customer over 30 days}", "features.price", "name of something else"),
    ("features: {hour: count by customer over 30 days}", "features.hour", "name of something else"),
    ("features: {late: count by paid_at over 30 days}", "features.late", "paid_at is known_later"),
    ("features: {said: count by words over 30 days}", "features.said", "words is a text"),
    (
        "features: {mean: mean of kind by customer over 30 days}",
        "features.mean",
        "count its values with `distinct kind`",
    ),
    ("features: {bad: share of frauds by customer over 30 days}", "features.bad", "did you mean `fraud`?"),
    ("features: {bad: share of kind by customer over 30 days}", "features.bad", "write `share of kind = VALUE`"),
    (f"{SERIES}    values: [heat]\n    until: words", "series.sensor.until", "words is a text"),
    (f"{SERIES}    values: [heat]\n    until: kind", "series.sensor.until", "name a time or a number"),
    (f"{SERIES}    values: [heat]\n    until: price\n    spans: [3 days]", "series.sensor.spans", "spans are of rows"),
    (f"{SERIES}    values: [heat]\n    spans: [3 moons]", "series.sensor.spans[0]", "is no span"),
    (f"{SERIES}    values: [heat]\n    spans: [5000 rows]", "series.sensor.spans[0]", "too many"),
    (f"{SERIES}    values: [heat, heat]", "series.sensor.values", "names something twice"),
    (f"{SERIES}    values: [heat]\n    key_column: ''", "series.sensor.key_column", "must be"),
    ("series: {own: {key: kind, at: at, values: [words]}}", "series.own.values[0]", "words is a text"),
    ("series: {own: {key: kind, at: price, values: [price]}}", "series.own.at", "both are times"),
]


def written(tmp_path: Path, more: str, text: str = GOOD) -> Path:
    file = tmp_path / "claims.yaml"
    file.write_text(f"{text}{more}\n")
    return file


@pytest.mark.parametrize(("more", "place", "sentence"), BROKEN)
def test_a_mistake_is_told(tmp_path: Path, more: str, place: str, sentence: str) -> None:
    mistakes = [str(mistake) for mistake in check_file(written(tmp_path, more))]
    assert [mistake for mistake in mistakes if place in mistake and sentence in mistake], mistakes


def test_a_personal_value_leaves_its_seal_in_no_figure(tmp_path: Path) -> None:
    personal = GOOD.replace("kind: {type: category,", "kind: {type: category, pii: true,")
    refused = written(tmp_path, "features: {web: share of kind = a by customer over 30 days}", personal)
    assert [m for m in map(str, check_file(refused)) if "features.web" in m and "`distinct kind`" in m]
    keyed = written(tmp_path, f"{SERIES}    values: [heat]", personal)
    assert [m for m in map(str, check_file(keyed)) if "series.sensor.key" in m and "pseudonym" in m]
    assert not check_file(written(tmp_path, "features: {kinds: distinct kind by customer over 30 days}", personal))


def test_features_and_series_become_part_of_the_plan_and_of_the_hash(tmp_path: Path) -> None:
    plain = load_spec(written(tmp_path, ""))
    assert not plain.aggregates
    more = (
        f"features: {{claims_30d: 'count  by customer over 30 days'}}\n{SERIES}    values: [heat]\n    figures: [mean]"
    )
    spec = load_spec(written(tmp_path, more))
    assert spec.aggregates
    assert spec.spec_hash != plain.spec_hash
    assert spec.features == {"claims_30d": "count by customer over 30 days"}
    assert spec.feature_plan.kept == {
        "claims_30d": "cases of the customer in 30 days",
        "sensor_rows": "rows of sensor so far",
        "sensor_heat_mean_30_rows": "mean heat in the last 30 rows",
    }


def test_each_figure_of_a_series_has_its_words() -> None:
    assert all(figure.about and figure.phrase for figure in SeriesFigure)


def test_a_new_kind_needs_labels_to_leave_out(tmp_path: Path) -> None:
    asked = GOOD.replace("model:\n", "model:\n  unseen: {false_alarms: 10%}\n")
    mistakes = [str(mistake) for mistake in check_file(written(tmp_path, "", asked))]
    assert [m for m in mistakes if "model.unseen" in m and "which needs 4 or more of them, and there are 2" in m], (
        mistakes
    )
    whole = [str(mistake) for mistake in check_file(written(tmp_path, "", asked.replace("10%", "80%")))]
    assert [m for m in whole if "model.unseen.false_alarms" in m], whole


ROUTED = (
    GOOD[: GOOD.index("options:")].replace("labels: [fine, fraud]", "labels: [fine, fraud, other, late]")
    + 'options: {title: "Route to {label}", right: 0, wrong: 30, exceptions: '
    + "{other: {right: 2, wrong: 5, missed: 60}}}\n"
    + GOOD[GOOD.index("review:") :]
)


def test_a_label_may_cost_otherwise_than_the_rest(tmp_path: Path) -> None:
    spec = load_spec(written(tmp_path, "", ROUTED))
    matrix = spec.cost_matrix
    assert matrix.options == matrix.labels == ("fine", "fraud", "other", "late")
    assert matrix.cells == ((0, 30, 60, 30), (30, 0, 60, 30), (5, 5, 2, 5), (30, 30, 60, 0))


@pytest.mark.parametrize(
    ("exceptions", "place", "sentence"),
    [
        ("{others: {wrong: 5}}", "options.exceptions.others", "did you mean `other`?"),
        ("{other: {wrong: 5 * prise}}", "options.exceptions.other.wrong", "did you mean `price`?"),
    ],
)
def test_a_mistake_in_an_exception_is_told(tmp_path: Path, exceptions: str, place: str, sentence: str) -> None:
    text = ROUTED.replace("{other: {right: 2, wrong: 5, missed: 60}}", exceptions)
    mistakes = [str(mistake) for mistake in check_file(written(tmp_path, "", text))]
    assert [mistake for mistake in mistakes if place in mistake and sentence in mistake], mistakes
