"""In which state a night is, and what a reader must know before reading on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from pipeline_project.domain.core.reasons import Reason, Trait
from pipeline_project.domain.privacy.masking import mask
from pipeline_project.domain.reporting.facts import Alert, NightFacts, ReportTerms
from pipeline_project.domain.reporting.money import Comparison, comparison_sentence
from pipeline_project.domain.reporting.sentences import count, percent


class ReportState(StrEnum):
    """Only one holds of a night; an earlier one hides the later."""

    BLOCKED = "blocked"
    EMPTY = "empty"
    WARM_UP = "warm-up"
    NOT_DECIDED = "not decided"
    MODEL_UNAVAILABLE = "model unavailable"
    NO_MODEL = "no model"
    DECIDED = "decided"


@dataclass(frozen=True)
class Banner:
    """A sentence or two above everything else."""

    kind: Literal["stop", "warn", "note"]
    title: str
    text: str


def state_of(facts: NightFacts, terms: ReportTerms) -> ReportState:
    """The state of a night, from what ran and what was decided."""
    if facts.blocked is not None:
        return ReportState.BLOCKED
    if facts.arrivals == 0:
        return ReportState.EMPTY
    if facts.night < terms.decide_from:
        return ReportState.WARM_UP
    if facts.decisions is None:
        return ReportState.NOT_DECIDED
    reasons = set(facts.decisions["reason"].to_pylist()) - {Reason.RANDOM_SHARE}
    if reasons and reasons <= {Reason.MODEL_UNAVAILABLE, Reason.NO_MODEL}:
        return ReportState.MODEL_UNAVAILABLE if Reason.MODEL_UNAVAILABLE in reasons else ReportState.NO_MODEL
    return ReportState.DECIDED


def banners(
    state: ReportState, facts: NightFacts, terms: ReportTerms, missing: int, changed: int, compared: Comparison | None
) -> tuple[Banner, ...]:
    """The state's banner if it has one, then what does not add up, then the alerts.

    Args:
        missing: arrivals that are neither admitted nor refused nor repeats; must be 0.
        changed: decisions that stand although the policy would choose otherwise now.
        compared: the policy beside the constant ones, None if nothing could be compared.
    """
    all_banners = list(_of_state(state, facts, terms))
    if missing:
        text = f"{count(abs(missing), 'row')} {'too few' if missing > 0 else 'too many'}: arrivals must equal "
        text += "admitted + refused + repeats. Do not release this night before someone has looked."
        all_banners.append(Banner("stop", "The counts do not add up", text))
    if state == ReportState.DECIDED and facts.cases.num_rows == 0:
        all_banners.append(Banner("warn", "Nothing was admitted", "Every row was refused or a repeat; see below why."))
    if compared and (compared.negligible or compared.saving < 0):
        all_banners.append(_against_constant(compared, terms))
    if changed:
        text = f"Today's policy would treat {count(changed, 'case')} otherwise. The decisions below stand as they "
        text += "were first made; deciding again never acts."
        all_banners.append(Banner("note", "Decided before", text))
    all_banners.extend(_alert(alert) for alert in facts.alerts)
    return tuple(all_banners)


def _of_state(state: ReportState, facts: NightFacts, terms: ReportTerms) -> Sequence[Banner]:
    if state == ReportState.BLOCKED:
        text = (
            mask(facts.blocked or "").rstrip(".") + ". Nothing of this night was decided and nothing left the house; "
        )
        return [Banner("stop", "This night is blocked", text + "other nights are not affected.")]
    if state == ReportState.EMPTY:
        return [Banner("note", "An empty night", "No file held a case for this night. That is valid, not a failure.")]
    if state == ReportState.WARM_UP:
        text = f"Cases of nights before {terms.decide_from} teach the models what usually comes in. "
        return [Banner("note", "Warm-up night", text + "Nothing is decided and nobody is asked.")]
    if state == ReportState.NOT_DECIDED:
        text = "The run ended before the decisions. Look at the failed step in Dagster and run the night again; "
        return [Banner("stop", "This night is not decided yet", text + "running it twice is safe.")]
    if state == ReportState.MODEL_UNAVAILABLE:
        text = "The champion could not be loaded, so every case goes to a person. Run `pipeline doctor`, then the "
        return [Banner("stop", "The model is unavailable", text + "next night is scored again.")]
    if state == ReportState.NO_MODEL:
        text = "Too few outcomes are known to train one, so every case goes to a person. Their answers are the "
        return [Banner("warn", "There is no model yet", text + "outcomes that the first model learns from.")]
    return _share_unscored(facts)


def _share_unscored(facts: NightFacts) -> Sequence[Banner]:
    """Some cases without a usable score are normal, many are not."""
    decisions = facts.decisions
    if decisions is None or decisions.num_rows == 0:
        return []
    unscored = Reason.having(Trait.UNSCORED)
    share = sum(reason in unscored for reason in decisions["reason"].to_pylist()) / decisions.num_rows
    if share < 0.1:
        return []
    text = f"{percent(share)} of tonight's cases could not be scored and went to people; the reasons are below."
    return [Banner("warn", "Many cases without a score", text)]


def _against_constant(compared: Comparison, terms: ReportTerms) -> Banner:
    """A model that earns nothing must not look busy."""
    text = comparison_sentence(compared, terms.currency)
    if compared.negligible:
        return Banner("note", "The model changes next to nothing tonight", text)
    return Banner("warn", "A constant policy would have been cheaper", text)


def _alert(alert: Alert) -> Banner:
    kinds: dict[str, Literal["stop", "warn", "note"]] = {"error": "stop", "warning": "warn", "note": "note"}
    titles = {"error": "Needs attention", "warning": "Worth a look", "note": "Note"}
    return Banner(kinds[alert.severity], titles[alert.severity], mask(alert.text))
