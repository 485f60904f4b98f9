"""Why a case was decided as it was: each reason with its code in the ledger, its words, and what follows from it.

A new reason is one member here, and the place that gives it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum, auto
from typing import Self

ASK_PERSON = "ask_person"


class Trait(Enum):
    """What follows from a reason, wherever cases are counted, judged or handed to people."""

    #: Decided without a person; a reason without this one asks a person.
    AUTOMATED = auto()
    #: A person's answer would have paid, and none was asked.
    TURNED_AWAY = auto()
    #: A person's answer pays.
    DOUBT = auto()
    #: No model may decide it, whatever it costs.
    BARRED = auto()
    #: There are no probabilities, or no costs, to decide by.
    UNSCORED = auto()
    #: It needs eyes of its own: the random share judges the policy, the others are like no other case.
    INDIVIDUAL = auto()


@dataclass(frozen=True)
class ReasonWords:
    """How a reason is said.

    Attributes:
        report: in a table of the night's page.
        desk: as a sentence, to whoever has the case before them.
        because: after "because", in `pipeline why`.
    """

    report: str
    desk: str
    because: str


class Reason(StrEnum):
    """A reason, with its words and what follows from it."""

    words: ReasonWords
    traits: frozenset[Trait]

    def __new__(cls, code: str, wording: ReasonWords, *traits: Trait) -> Self:
        reason = str.__new__(cls, code)
        reason._value_, reason.words, reason.traits = code, wording, frozenset(traits)
        return reason

    @classmethod
    def having(cls, trait: Trait) -> frozenset[Reason]:
        """Every reason from which this follows."""
        return frozenset(reason for reason in cls if trait in reason.traits)

    CHEAPEST = (
        "cheapest",
        ReasonWords(
            report="cheapest option",
            desk="The option with the lowest expected cost.",
            because="the option with the lowest expected cost",
        ),
        Trait.AUTOMATED,
    )
    NO_PLACE_LEFT = (
        "no_place_left",
        ReasonWords(
            report="a person was wanted, but every place was taken",
            desk="A person would have paid, but the night's places went to other cases.",
            because="a person's answer would have paid, but the night's places went to cases where it saves more",
        ),
        Trait.AUTOMATED,
        Trait.TURNED_AWAY,
    )
    SMALL_DOUBT = (
        "small_doubt",
        ReasonWords(
            report="a surge: a person was wanted, but saves too little that night",
            desk="On a night much larger than usual: a person would have paid, but too little.",
            because="the night was much larger than usual, and a person's answer would have saved too little",
        ),
        Trait.AUTOMATED,
        Trait.TURNED_AWAY,
    )
    DOUBT = (
        "doubt",
        ReasonWords(
            report="in doubt: an answer is worth more than it costs",
            desk="The model is in doubt: an answer costs less than being wrong.",
            because="a person's answer costs less than the expected cost of the best option",
        ),
        Trait.DOUBT,
    )
    DENIAL = (
        "denial",
        ReasonWords(
            report="the cheapest option denies, and only people may",
            desk="The cheapest option denies, and only people deny.",
            because="the cheapest option denies, and only people deny",
        ),
        Trait.DOUBT,
    )
    RANDOM_SHARE = (
        "random_share",
        ReasonWords(
            report="random share, so that outcomes are not censored",
            desk="Drawn at random, whatever the score, to see how good the decisions are.",
            because="drawn for the random share, whatever the score",
        ),
        Trait.INDIVIDUAL,
    )
    PROMISE = (
        "promise",
        ReasonWords(
            report="decided alone it would not be covered by the promised error",
            desk="Decided without a person it would not be covered by the promised error.",
            because="decided without a person it would not be covered by the promised error",
        ),
    )
    WAITING = (
        "waiting",
        ReasonWords(
            report="a surge: it waits for a person",
            desk="It waits: its night was much larger than usual, and others came first.",
            because="the night was much larger than usual: the case waits for a person behind others",
        ),
    )
    COST_UNKNOWN = (
        "cost_unknown",
        ReasonWords(
            report="a cost could not be computed: a field it needs is missing",
            desk="A field that the costs need is missing.",
            because="a field that the costs need is missing",
        ),
        Trait.UNSCORED,
    )
    NO_MODEL = (
        "no_model",
        ReasonWords(
            report="there is no model yet",
            desk="No model was there on that night.",
            because="no model was champion on that night",
        ),
        Trait.BARRED,
        Trait.UNSCORED,
    )
    MODEL_UNAVAILABLE = (
        "model_unavailable",
        ReasonWords(
            report="the model could not be loaded",
            desk="The model could not be loaded.",
            because="the champion could not be loaded",
        ),
        Trait.BARRED,
        Trait.UNSCORED,
    )
    FAILED_PHOTO = (
        "failed_photo",
        ReasonWords(
            report="a photo could not be read",
            desk="A photo could not be read.",
            because="a photo could not be read",
        ),
        Trait.BARRED,
        Trait.UNSCORED,
        Trait.INDIVIDUAL,
    )
    OUT_OF_DISTRIBUTION = (
        "out_of_distribution",
        ReasonWords(
            report="unlike anything the model has seen",
            desk="Unlike anything the model was trained on.",
            because="the case is unlike anything the model was trained on",
        ),
        Trait.BARRED,
        Trait.UNSCORED,
        Trait.INDIVIDUAL,
    )
    POLICY_CLOSED = (
        "policy_closed",
        ReasonWords(
            report="the policy is closed: people decide everything",
            desk="The policy is closed: people decide everything until somebody opens it again.",
            because="the policy was closed on that night, so people decided everything",
        ),
        Trait.BARRED,
    )
    LAPSED = (
        "lapsed",
        ReasonWords(
            report="nobody answered in time: the workflow's safe default",
            desk="Nobody answered in time; the workflow's safe default was taken.",
            because="nobody answered in time, so the workflow's safe default was taken",
        ),
        Trait.AUTOMATED,
    )


#: Every reason by its code.
REASONS: Mapping[str, Reason] = {reason.value: reason for reason in Reason}


def words_of(code: str) -> ReasonWords:
    """The words of a reason as the ledger holds it; one that another version wrote is said to be unknown."""
    if code in REASONS:
        return REASONS[code].words
    phrase = f"of {code!r}, a reason that this version does not know"
    return ReasonWords(report=phrase, desk=f"Because {phrase}.", because=phrase)


#: Reasons of what is decided without a person.
AUTOMATED = Reason.having(Trait.AUTOMATED)
