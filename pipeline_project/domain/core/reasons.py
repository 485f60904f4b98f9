"""Why a case was decided as it was, in the words of the ledger."""

from __future__ import annotations

from enum import StrEnum

ASK_PERSON = "ask_person"


class Reason(StrEnum):
    """Why a case was decided as it was; the first three are options (`ALONE`), the rest ask a person."""

    CHEAPEST = "cheapest"
    NO_PLACE_LEFT = "no_place_left"
    SMALL_DOUBT = "small_doubt"
    DOUBT = "doubt"
    DENIAL = "denial"
    RANDOM_SHARE = "random_share"
    PROMISE = "promise"
    WAITING = "waiting"
    COST_UNKNOWN = "cost_unknown"
    NO_MODEL = "no_model"
    MODEL_UNAVAILABLE = "model_unavailable"
    FAILED_PHOTO = "failed_photo"
    OUT_OF_DISTRIBUTION = "out_of_distribution"
    POLICY_CLOSED = "policy_closed"


#: Reasons of what is decided without a person.
ALONE = frozenset({Reason.CHEAPEST, Reason.NO_PLACE_LEFT, Reason.SMALL_DOUBT})
