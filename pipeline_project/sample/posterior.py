"""What could be known of a sample claim: the chance of each truth, by the very rules that made the claim.

Bayes' rule over the kinds of claim, with the generator's own numbers for what is ticked, written and photographed. It
is more than any model can reach: the customer's temper, which others have to guess from the past, is taken as known,
and words and photos are read without a mistake. Claims of a ring, which give themselves away together, count as told.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

from pipeline_project.sample import claims as rules
from pipeline_project.sample import shots, words
from pipeline_project.sample.claims import LABELS, Claim
from pipeline_project.sample.items import CATEGORIES, COLORS
from pipeline_project.sample.photos import Shot

LABEL_OF = {"wardrobing": "worn", "empty_box": "fraud", "swapped_item": "fraud", "ring": "fraud"}
#: The steps in which chance picks what a message is about are hundredths, so their middles meet each of them.
_STEPS = tuple((step + 0.5) / 100 for step in range(100))


def posterior(claim: Claim) -> dict[str, float]:
    """The chance of each label, given everything about a claim that can be seen, and the customer's temper.

    How many photos came follows from the reason that was ticked, and tells nothing beside it.
    """
    if claim.kind == "ring":
        return {label: float(label == "fraud") for label in LABELS}
    seen_words, seen_shots = words.plan_of(claim), shots.shots_of(claim)
    weight = {
        kind: chance
        * _reason(kind, claim)
        * _days(kind, claim.days_since_delivery)
        * _content_chance(kind, claim, seen_words, seen_shots)
        for kind, chance in rules.kind_chances(claim.customer, claim.item, claim.night).items()
    }
    total = sum(weight.values())
    chances = dict.fromkeys(LABELS, 0.0)
    for kind, value in weight.items():
        chances[LABEL_OF.get(kind, kind)] += value / total
    return chances


def _reason(kind: str, claim: Claim) -> float:
    weights = rules.reason_weights(kind, claim.item, claim.night)
    return weights.get(claim.reason, 0.0) / sum(weights.values())


def _days(kind: str, days: int) -> float:
    from scipy.special import gammainc

    shape, mean = rules.KEPT_SHAPE, rules.MEAN_DAYS_KEPT.get(kind, rules.USUAL_DAYS_KEPT)
    scale = mean / shape
    below = float(gammainc(shape, days / scale))
    return (1.0 if days >= rules.MOST_DAYS_KEPT else float(gammainc(shape, (days + 1) / scale))) - below


def _content_chance(kind: str, claim: Claim, plan: words.MessagePlan, seen: Sequence[Shot]) -> float:
    """The chance of words and photos, over the faults that the item may have, or may be said to have."""
    return sum(
        chance * _message_chance(as_if, plan) * math.prod(_shot(as_if, shot) for shot in seen)
        for chance, as_if in _with_faults(kind, claim)
    )


def _with_faults(kind: str, claim: Claim) -> Iterator[tuple[float, Claim]]:
    """The claim as if it were of that kind, with each fault that it could have, and how likely that is."""
    faults = CATEGORIES[claim.item.category].faults
    if not rules.has_fault(kind, claim.reason):
        yield 1.0, replace(claim, kind=kind, fault=None)
        return
    total = sum(faults.values())
    for fault, weight in faults.items():
        yield weight / total, replace(claim, kind=kind, fault=fault)


def _message_chance(as_if: Claim, plan: words.MessagePlan) -> float:
    """The chance that such a claim is written about like this; tongue, small talk and slips tell nothing."""
    if plan.core is None:
        return 1.0
    about = _core(as_if.kind, as_if.reason, as_if.fault, as_if.item.category).get(plan.core, 0.0)
    moves = plan.moves or frozenset()
    made = 1.0
    for move in words.MOVES:
        chance = words.chance_of(move, as_if)
        made *= chance if move in moves else 1 - chance
    if plan.moves is not None:
        return about * made
    # nothing but the core: said by who never says more, or by who happened to say nothing of all that
    silent = (1 - words.OPENING) * (1 - words.CONTEXT) * (1 - words.REQUEST) * (1 - words.CLOSING)
    silent *= 1 - words.PHOTO if as_if.photos else 1.0
    return about * (words.BARE + (words.CHATTY - words.BARE) * silent * made)


@lru_cache(maxsize=4096)
def _core(kind: str, reason: str, fault: str | None, category: str) -> Mapping[str, float]:
    """How likely a message is about what."""
    chances: dict[str, float] = {}
    for step in _STEPS:
        core = words.core_at(kind, reason, fault, category, step)
        chances[core] = chances.get(core, 0.0) + 1 / len(_STEPS)
    return chances


def _shot(as_if: Claim, shot: Shot) -> float:
    """The density of a photo; what it shows beside subject, colour, fault, use and tag tells nothing."""
    category, color = as_if.item.category, as_if.item.color
    if as_if.kind == "empty_box":
        belows = [0.0, *(below for _, below in shots.EMPTY_BOX)]
        shown = {subject: below - belows[at] for at, (subject, below) in enumerate(shots.EMPTY_BOX)}
        plain = shot.fault is None and not shot.used and not shot.tag
        like_it = shot.subject == category and shot.color == color and plain
        return shown.get(shot.subject, (1 - belows[-1]) * like_it)
    parcel = shots.parcel_below(as_if.reason) - shots.SLIP_BELOW
    aside = {"slip": shots.SLIP_BELOW, "open_box": shots.OPENED * parcel, "parcel": (1 - shots.OPENED) * parcel}
    if shot.subject in aside:
        return aside[shot.subject]
    item = 1 - shots.parcel_below(as_if.reason)
    return item * _subject(as_if, shot) * _fault(as_if, shot) * _use(as_if, shot) * _tag(as_if, shot)


def _subject(as_if: Claim, shot: Shot) -> float:
    own = float(shot.subject == as_if.item.category)
    swapped = shots.SWAPPED_SHOWN if as_if.kind == "swapped_item" else 0.0
    other = 1.0 if as_if.reason == "wrong_item" else swapped
    another = ((1 - shots.OTHER_CATEGORY) * own + shots.OTHER_CATEGORY / len(CATEGORIES)) / len(COLORS)
    return (1 - other) * own * (shot.color == as_if.item.color) + other * another


def _fault(as_if: Claim, shot: Shot) -> float:
    shown = shots.fault_shown(as_if)
    return shown * (shot.fault == as_if.fault) if shot.fault else 1 - shown


def _use(as_if: Claim, shot: Shot) -> float:
    often, strong = shots.use_seen(as_if)
    return often * (shot.used >= strong) / (1 - strong) if shot.used else 1 - often


def _tag(as_if: Claim, shot: Shot) -> float:
    often = shots.tag_seen(as_if)
    return often if shot.tag else 1 - often
