"""What a customer writes: moves put together by what is true, what is claimed, and who writes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import Any

from pipeline_project.sample.claims import Claim
from pipeline_project.sample.items import CATEGORIES
from pipeline_project.sample.seasons import drifted

SIZES = {"shoes": ["38", "39", "40", "41", "42", "43", "44"], "jeans": ["28", "30", "32", "34"]}
KEYS_NEXT_TO = {"a": "s", "e": "r", "i": "o", "n": "m", "o": "p", "r": "t", "s": "d", "t": "z", "u": "i", "l": "k"}
LONGEST = 80
ELECTRIC = ("headphones", "lamp", "kettle")

#: How often a move appears, by what is true. Nothing here is certain: honest people make excuses and threaten too.
MOVES = {
    "excuse": {"wardrobing": 0.52, "swapped_item": 0.28, "resellable": 0.07, "empty_box": 0.04, "defective": 0.03},
    "untouched": {"resellable": 0.36, "wardrobing": 0.10, "swapped_item": 0.14, "empty_box": 0.05},
    "pressure": {"empty_box": 0.44, "swapped_item": 0.42, "ring": 0.2, "wardrobing": 0.11, "defective": 0.07},
    "detail": {"defective": 0.42, "swapped_item": 0.4, "wardrobing": 0.3, "resellable": 0.2, "empty_box": 0.1},
}
#: Below the first a message says only what it is about, above the second it tells of life; and how often it does what
#: tells nothing of the claim.
BARE, CHATTY = 0.14, 0.85
OPENING, CONTEXT, PHOTO, REQUEST, CLOSING = 0.5, 0.4, 0.4, 0.5, 0.4
CORES = {"does_not_fit": "fit", "changed_mind": "mind", "not_as_described": "described", "other": "other"}


@lru_cache(maxsize=1)
def phrases() -> dict[str, Any]:
    """The templates of phrases.yaml."""
    from ruamel.yaml import YAML

    read: dict[str, Any] = YAML(typ="safe").load(Path(__file__).with_name("phrases.yaml"))
    return read


@dataclass(frozen=True)
class MessagePlan:
    """What a message does, before it is put into words.

    Attributes:
        core: what it is about; None where it is in a tongue that the shop does not read.
        moves: what it does beside that, small talk included; None where it says nothing else.
    """

    core: str | None
    moves: frozenset[str] | None


def plan_of(claim: Claim) -> MessagePlan:
    """What the message of a claim does; of a ring's, which is a script, nothing is said.

    Raises:
        ValueError: the claim is a ring's.
    """
    if claim.kind == "ring":
        raise ValueError("a ring's claims have a script and no plan")
    rng = claim.rng("message")
    tongue = _tongue(claim, rng)
    if tongue is None:
        return MessagePlan(None, None)
    core, moves = _moves(claim, rng)
    return MessagePlan(core, None if moves == [core] else frozenset(move.removesuffix("_new") for move in moves))


def _tongue(claim: Claim, rng: Random) -> str | None:
    if rng.random() < 0.012:
        return None
    return "de" if claim.customer.german and rng.random() < 0.85 else "en"


def write_message(claim: Claim) -> str:
    """The claim's free text, at most 80 words; the same claim always writes the same."""
    rng = claim.rng("message")
    if claim.kind == "ring":
        return _ring_text(claim, rng)
    tongue = _tongue(claim, rng)
    if tongue is None:
        return str(rng.choice(phrases()["foreign"]))
    _, moves = _moves(claim, rng)
    sentences = [_phrase(claim, tongue, move, rng) for move in moves]
    text = " ".join(dict.fromkeys(sentences))
    if rng.random() < 0.28:
        text = _mistyped(text, rng)
    if rng.random() < 0.12:
        text = text.lower().rstrip(".")
    if rng.random() < 0.06:
        text += " " + "".join(rng.choices(phrases()["emoji"], k=rng.choice((1, 1, 2, 3))))
    return " ".join(text.split()[:LONGEST])


def _moves(claim: Claim, rng: Random) -> tuple[str, list[str]]:
    """What the message is about, and all that it does, in order."""
    core = core_at(claim.kind, claim.reason, claim.fault, claim.item.category, rng.random())
    manner = rng.random()
    if manner < BARE:
        return core, [core]
    chatty = manner > CHATTY
    moves = []
    if rng.random() < OPENING:
        moves.append("opening_new" if drifted(claim.night) and rng.random() < 0.55 else "opening")
    moves += ["context"] * (chatty or rng.random() < CONTEXT) + [core]
    moves += ["life"] * chatty
    moves += [move for move in ("detail", "excuse", "untouched") if _makes(move, claim, rng)]
    if claim.photos and rng.random() < PHOTO:
        moves.append("photo")
    moves += ["life"] * (chatty and rng.random() < 0.7)
    if _makes("pressure", claim, rng):
        moves.append("pressure")
    elif rng.random() < REQUEST:
        moves.append("request")
    moves += ["closing"] * (rng.random() < CLOSING)
    return core, [_renewed(move, claim, rng) for move in moves]


def chance_of(move: str, claim: Claim) -> float:
    """How often a message that says more than what it is about makes a move."""
    return 0.0 if move == "detail" and claim.fault is None else MOVES[move].get(claim.kind, 0.03)


def _makes(move: str, claim: Claim, rng: Random) -> bool:
    if move == "detail" and claim.fault is None:
        return False
    return rng.random() < chance_of(move, claim)


def _renewed(move: str, claim: Claim, rng: Random) -> str:
    """After the drift people hear of new things to say."""
    return f"{move}_new" if move in ("excuse", "pressure") and drifted(claim.night) and rng.random() < 0.5 else move


def core_at(kind: str, reason: str, fault: str | None, category: str, draw: float) -> str:
    """What the message is about, by a number in [0, 1). Clothes have no parts that could be missing from the box."""
    core = _any_core(kind, reason, fault, category, draw)
    return "empty" if core == "short" and CATEGORIES[category].textile else core


def _any_core(kind: str, reason: str, fault: str | None, category: str, draw: float) -> str:
    """The same words serve the honest and the dishonest."""
    if kind == "empty_box":
        return "empty" if draw < 0.62 else "short" if draw < 0.80 else "wrong" if draw < 0.92 else "transit"
    if kind == "swapped_item":
        return "swap" if draw < 0.48 else CORES.get(reason) or fault or "wrong"
    if kind == "defective" and reason not in ("damaged", "defective"):
        missing = "mild" if CATEGORIES[category].textile else "short"
        return fault or "mild" if draw < 0.6 else missing if draw < 0.7 else CORES.get(reason, "mild")
    if reason in ("damaged", "defective"):
        if kind != "defective":
            return "mild" if draw < 0.6 else "transit" if draw < 0.7 else fault or "mild"
        if reason == "damaged" and draw < 0.4:
            return "transit"
        return fault or "mild" if draw < 0.85 else "mild"
    if reason == "wrong_item":
        return "wrong" if draw < 0.90 else "swap" if draw < 0.95 else "short" if draw < 0.98 else "empty"
    return CORES[reason]


def _phrase(claim: Claim, tongue: str, move: str, rng: Random) -> str:
    templates, category = phrases()[tongue], claim.item.category
    kind = "textile" if CATEGORIES[category].textile else "hard" if category in ELECTRIC else "other"
    return _filled(rng.choice(templates[move] + templates.get(f"{move}_{kind}", [])), claim, tongue, rng)


def _filled(template: str, claim: Claim, tongue: str, rng: Random) -> str:
    if "{" not in template:
        return template
    vocabulary, category = phrases(), claim.item.category
    usual = ["S", "M", "L", "XL", "38", "40", "42"] if CATEGORIES[category].textile else ["small", "medium", "large"]
    return template.format(
        item=rng.choice(vocabulary["nouns"][tongue][category]),
        part=rng.choice(vocabulary["parts"][tongue][category]),
        occasion=rng.choice(vocabulary["occasions"]),
        brand=claim.item.brand,
        color=claim.item.color,
        days=max(claim.days_since_delivery, 1),
        size=rng.choice(SIZES.get(category, usual)),
        price=f"{claim.price:.2f} €" if rng.random() < 0.6 else f"{claim.price:.0f} euros",
    )


def _ring_text(claim: Claim, rng: Random) -> str:
    """One script for the whole ring; only a few words change from account to account."""
    ring = claim.ring
    if ring is None:
        raise ValueError("a claim of the kind ring needs its ring")
    scripts = phrases()["rings"]
    template = scripts[ring.style][ring.script % len(scripts[ring.style])]
    fillers = {slot: options[ring.script % len(options)] for slot, options in scripts["words"].items()}
    changes = 1 if ring.style == "copies" else 3
    for slot in rng.sample(sorted(fillers), changes):
        fillers[slot] = rng.choice(scripts["words"][slot])
    fixed = Random(ring.script)
    asset_names, parts = phrases()["nouns"]["en"][ring.category], phrases()["parts"]["en"][ring.category]
    text = str(template.format(item=fixed.choice(asset_names), part=fixed.choice(parts), **fillers))
    return _mistyped(text, rng) if rng.random() < 0.3 else text


def _mistyped(text: str, rng: Random) -> str:
    """One to three slips: letters swapped, dropped, doubled or hit next to the right key."""
    for _ in range(rng.choice((1, 1, 2, 3))):
        places = [place for place in range(1, len(text) - 1) if text[place].isalpha() and text[place].isascii()]
        if not places:
            return text
        place = rng.choice(places)
        before, letter, after = text[:place], text[place], text[place + 1 :]
        slip = rng.randrange(4)
        if slip == 0:
            text = before + after[:1] + letter + after[1:]
        elif slip == 1:
            text = before + after
        elif slip == 2:
            text = before + letter * 2 + after
        else:
            text = before + KEYS_NEXT_TO.get(letter, letter) + after
    return text
