"""A person's answer: whether it can be taken, what it is worth, whether a second person must agree, its hash."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from pipeline_project.domain.core.errors import AnswerRefused
from pipeline_project.domain.review.new_tasks import ReviewTerms

#: Longest free text kept with an answer, in characters: sealed twice (`privacy.seal.NOTE`) a text grows eightfold.
LONGEST_NOTE = 32_000

#: Source of the outcomes that people's answers become.
REVIEW = "review"


@dataclass(frozen=True)
class Answer:
    """What a person says of one case.

    Attributes:
        option: what is to be done. label: what is true of the case. reason: a code of the workflow's short list.
        note: free text; kept as given, so hand it over sealed where it may hold something personal.
    """

    option: str
    label: str
    reason: str
    note: str | None = None


@dataclass(frozen=True)
class Answered:
    """What became of an answer.

    Attributes:
        task: its id. epoch: of the decision it made; None for a proposal, and for a case shown again.
        proposal: id of the proposal that now waits for a second person, or None.
        hash: of that proposal; an approval repeats it.
        actions: actions planned.
    """

    task: int
    epoch: int | None
    proposal: int | None = None
    hash: str | None = None
    actions: int = 0


def check(answer: Answer, terms: ReviewTerms) -> None:
    """Refuses what the workflow does not know. An option that denies is fine: people may.

    Raises:
        AnswerRefused: option, label or reason is none of the workflow's, or the note is too long.
    """
    for name, given, choices in (
        ("option", answer.option, tuple(terms.options)),
        ("label", answer.label, terms.labels),
        ("reason", answer.reason, tuple(terms.reasons)),
    ):
        if given not in choices:
            raise AnswerRefused(f"the {name} is none of {terms.workflow}; pick one of {', '.join(choices)}")
    if answer.note is not None and len(answer.note) > LONGEST_NOTE:
        raise AnswerRefused(f"the note is longer than {LONGEST_NOTE} characters; shorten it")


def at_stake(amount: float | None, payout: float) -> float | None:
    """Money that an answer decides about: what the case is about or what would be paid, whichever is more.

    Returns:
        None when neither is known.
    """
    own_amount = amount if amount is not None and math.isfinite(amount) else None
    if own_amount is None:
        return payout if payout > 0 else None
    return max(own_amount, payout)


def needs_second(option: str, amount: float | None, earlier: float, terms: ReviewTerms) -> bool:
    """Whether a second person must agree.

    Args:
        amount: at stake in this answer; unknown counts as above any limit.
        earlier: what people decided or proposed for the same customer within `second_nights`.
    """
    if terms.second_above is None or not (option in terms.acts or option in terms.denies):
        return False
    return amount is None or amount + earlier > terms.second_above


def proposal_hash(task: Mapping[str, Any], answer: Answer, proposer: str, amount: float | None, token: UUID) -> str:
    """Names all of what is proposed, and this very proposal: sha256 over its canonical spelling, hexadecimal.

    Args:
        task: at least `id`, `workflow`, `case_id`, `epoch`, `subject` and `content`; what is paid follows from it.
        token: of the claim under which it is proposed; the same words proposed again later are another proposal.
    """
    return _digest(kind="proposal", **_of_task(task), **vars(answer), person=proposer, amount=amount, claim=str(token))


def answer_hash(task: Mapping[str, Any], answer: Answer, person: str, amount: float | None) -> str:
    """Names all of what was answered, note included: sha256 over its canonical spelling, hexadecimal."""
    return _digest(kind="answer", **_of_task(task), **vars(answer), person=person, amount=amount)


def _of_task(task: Mapping[str, Any]) -> Mapping[str, object]:
    content = json.dumps(task["content"], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    seen = hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()
    return {
        **{name: task[name] for name in ("workflow", "case_id", "epoch", "subject")},
        "task": task["id"],
        "content": seen,
    }


def _digest(**content: Any) -> str:
    spelled = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(spelled.encode("utf-8", "surrogatepass")).hexdigest()
