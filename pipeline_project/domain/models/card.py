"""A model's card: what it learned from, how good it is and where, and what it must not be used for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline_project.domain.core.model_terms import PromiseTerms
from pipeline_project.domain.models.trained import TrainedModel

_FIGURES = {
    "log_loss": "log-loss (nats)",
    "accuracy": "most probable label is right",
    "brier": "Brier score",
    "auc": "area under the curve",
    "ece": "calibration error",
    "log_loss_before_calibration": "log-loss before calibration",
    "ece_before_calibration": "calibration error before calibration",
}
_SLICE_COLUMNS = ("cases", "log_loss", "accuracy", "ece")
#: Parameters that the card says in other places.
_ELSEWHERE = frozenset({"estimator", "training_outcomes", "metrics_from"})
_LONGEST = 200


@dataclass(frozen=True)
class CardFacts:
    """What a card says beside the model itself.

    Attributes:
        night: on which it was trained, YYYY-MM-DD.
        knows_until: it knows nothing of this night or later ones.
        lake_versions: of the tables it rests on.
        cases: cases of the nights it looked at, with or without an outcome; None when nobody counted.
        decides: what its probabilities are used to choose between, and in which currency.
        masked: features whose values are personal and are not shown in reasons.
        promise: on the error of what is decided without people, if the spec makes one.
        spec_hash: of the spec it was trained under.
    """

    workflow: str
    title: str
    night: str
    knows_until: str
    lake_versions: Mapping[str, int] = field(default_factory=dict)
    cases: int | None = None
    decides: tuple[str, ...] = ()
    currency: str = ""
    masked: frozenset[str] = frozenset()
    promise: PromiseTerms | None = None
    spec_hash: str = ""


def model_card(model: TrainedModel, facts: CardFacts) -> str:
    """Markdown; the same model and facts give the same words."""
    parts = [
        [f"# Model card: {_plain(facts.title)}, {model.estimator_name}", ""],
        _use(model, facts),
        _data(model, facts),
        _estimator(model),
        _figures(model),
        _slices(model),
        _limits(model, facts),
        _promise(facts),
    ]
    return "\n".join(line for part in parts for line in part)


def _use(model: TrainedModel, facts: CardFacts) -> list[str]:
    choices = f" between {', '.join(facts.decides)}" if facts.decides else ""
    money = f", by expected cost in {facts.currency}" if facts.currency else ""
    return [
        f"Workflow `{_plain(facts.workflow)}`, trained on the night of {facts.night}, sha256 `{model.digest}`"
        + (f", under spec `{facts.spec_hash}`" if facts.spec_hash else "")
        + ".",
        "",
        f"For each case it tells the probability of {', '.join(_plain(label) for label in model.labels)}. The policy "
        f"chooses with them{choices}{money}; people decide the cases that it leaves to them.",
        "",
    ]


def _data(model: TrainedModel, facts: CardFacts) -> list[str]:
    total = sum(model.outcomes.values())
    period = model.period
    lines = ["## Data", "", f"- {total:,} cases with a known outcome: " + _counts(model.outcomes, total)]
    if period:
        lines.append(f"- {period['nights']} nights from {period['first']} to {period['last']}")
    if "later_from" in period:
        later = int(model.metrics.get("outcomes_of_later_nights", 0))
        lines.append(f"- calibrated and measured on the {later:,} cases from {period['later_from']} on")
    lines.append(f"- knows nothing of the night of {facts.knows_until} and later ones")
    if facts.lake_versions:
        lines.append(
            f"- lake: {', '.join(f'{name} {version}' for name, version in sorted(facts.lake_versions.items()))}"
        )
    names = ", ".join(f"{name} (personal, never shown)" if name in facts.masked else name for name in model.features)
    return [*lines, f"- {len(model.features)} features: {names}", ""]


def _counts(counts: Mapping[str, int], total: int) -> str:
    return ", ".join(f"{_plain(label)} {n:,} ({n / max(total, 1):.1%})" for label, n in counts.items())


def _estimator(model: TrainedModel) -> list[str]:
    shown = {name: value for name, value in model.parameters.items() if name not in _ELSEWHERE}
    rows = ([name, _short(shown[name])] for name in sorted(shown))
    return ["## Estimator and parameters", "", *_table(["parameter", "value"], rows), ""]


def _figures(model: TrainedModel) -> list[str]:
    measured = {name: model.metrics[name] for name in _FIGURES if name in model.metrics}
    if not measured:
        return ["## Figures", "", "None: there is only one night, so no later one to measure on.", ""]
    rows = [[_FIGURES[name], f"{value:.4f}"] for name, value in measured.items()]
    note = (
        "Of the later nights, each predicted by a model of the nights before it, with calibration that had not seen it."
    )
    return ["## Figures", "", note, "", *_table(["figure", "value"], rows), ""]


def _slices(model: TrainedModel) -> list[str]:
    if not model.slices:
        return []
    own, lines = set(model.segments.names), ["## Figures by slice", ""]
    for name, values in model.slices.items():
        rows = []
        for value in sorted(values, key=lambda value: (-values[value]["cases"], value)):
            of = values[value]
            calibrated = "its own" if f"{name}={value}" in own else "common"
            rows.append([value, f"{of['cases']:,.0f}", *(f"{of[part]:.4f}" for part in _SLICE_COLUMNS[1:]), calibrated])
        lines += [*_table([name, "cases", "log-loss", "right", "calibration error", "calibration"], rows), ""]
    return lines


def _limits(model: TrainedModel, facts: CardFacts) -> list[str]:
    total = sum(model.outcomes.values())
    lines = [
        "## Limits",
        "",
        f"- Not for cases of another shop or time than those above, nor for anything but `{facts.workflow}`.",
        "- Not to judge people: a probability is about a case, and a reason says what the model used, not what caused "
        "the outcome.",
    ]
    share = model.metrics.get("unfamiliar_share")
    if share is not None:
        lines.append(
            f"- A case unlike those it learned from gets no probability and goes to people; of the later nights' cases "
            f"that were {share:.2%}. Where many more are, it is out of its depth."
        )
    caught = model.metrics.get("unseen_caught")
    if caught is not None:
        lines.append(
            "- A kind that no label stands for goes to people as far as it is noticed: of cases of labels that were "
            f"left out of the training in turn {caught:.1%} were, at {model.metrics['unseen_false_alarms']:.1%} of the "
            "others."
        )
    if facts.cases is not None and facts.cases > total:
        missing = facts.cases - total
        lines.append(
            f"- {missing:,} of {facts.cases:,} cases had no outcome yet ({missing / facts.cases:.1%}) and taught it "
            "nothing; late outcomes are weighed up, as far as the delays seen so far tell."
        )
    weak = _weak(model)
    if weak:
        lines.append(f"- Worst calibrated where it matters to look: {', '.join(weak)}.")
    few = [label for label, n in model.outcomes.items() if n < 50]
    if few:
        lines.append(
            f"- Rarely seen labels: {', '.join(_plain(label) for label in few)}; take their probability as rough."
        )
    return [*lines, ""]


def _weak(model: TrainedModel) -> list[str]:
    """At most three slices whose calibration error is far above the whole's."""
    whole = model.metrics.get("ece", 0.0)
    errors = [(of["ece"], f"{name} {_plain(value)}") for name, own in model.slices.items() for value, of in own.items()]
    far = [(ece, slice_name) for ece, slice_name in errors if ece > 2 * whole and ece > 0.02]
    return [f"{slice_name} ({ece:.3f})" for ece, slice_name in sorted(far, key=lambda one: (-one[0], one[1]))[:3]]


def _promise(facts: CardFacts) -> list[str]:
    if facts.promise is None:
        return ["## Promise", "", "None is declared; every case is decided at the lowest expected cost.", ""]
    bound = f"At most {facts.promise.error:.1%} of what is decided without people is wrong"
    sure = f"with {facts.promise.confidence:.0%} confidence"
    return ["## Promise", "", f"{bound}, {sure}; the live test takes the model back when it is broken.", ""]


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    names = [_plain(head) for head in heads]
    return [_row(names), _row(["---"] * len(names)), *(_row([_plain(cell) for cell in row]) for row in rows)]


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _short(value: Any) -> str:
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} ..."


def _plain(text: str) -> str:
    """Values of the data are words here, never Markdown or HTML."""
    return re.sub(r"([\\|`*<>\[\]#])", r"\\\1", re.sub(r"\s+", " ", text))
