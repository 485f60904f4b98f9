"""What a customer writes: moves put together by what is true, what is claimed, and who writes."""

from __future__ import annotations

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
CORES = {"does_not_fit": "fit", "changed_mind": "mind", "not_as_described": "described", "other": "other"}


@lru_cache(maxsize=1)
def phrases() -> dict[str, Any]:
    """The templates of phrases.yaml."""
    from ruamel.yaml import YAML

    read: dict[str, Any] = YAML(typ="safe").load(Path(__file__).with_name("phrases.yaml"))
    return read


def write_message(claim: Claim) -> str:
    """The claim's free text, at most 80 words; the same claim always writes the same."""
    rng = claim.rng("message")
    if claim.kind == "ring":
        return _ring_text(claim, rng)
    if rng.random() < 0.012:
        return str(rng.choice(phrases()["foreign"]))
    tongue = "de" if claim.customer.german and rng.random() < 0.85 else "en"
    moves = _moves(claim, rng)
    sentences = [_phrase(claim, tongue, move, rng) for move in moves]
    text = " ".join(dict.fromkeys(sentences))
    if rng.random() < 0.28:
        text = _mistyped(text, rng)
    if rng.random() < 0.12:
        text = text.lower().rstrip(".")
    if rng.random() < 0.06:
        text += " " + "".join(rng.choices(phrases()["emoji"], k=rng.choice((1, 1, 2, 3))))
    return " ".join(text.split()[:LONGEST])


def _moves(claim: Claim, rng: Random) -> list[str]:
    core = _core(claim, rng)
    manner = rng.random()
    if manner < 0.14:
        return [core]
    chatty = manner > 0.85
    moves = []
    if rng.random() < 0.5:
        moves.append("opening_new" if drifted(claim.night) and rng.random() < 0.55 else "opening")
    moves += ["context"] * (chatty or rng.random() < 0.4) + [core]
    moves += ["life"] * chatty
    moves += [move for move in ("detail", "excuse", "untouched") if _makes(move, claim, rng)]
    if claim.photos and rng.random() < 0.4:
        moves.append("photo")
    moves += ["life"] * (chatty and rng.random() < 0.7)
    if _makes("pressure", claim, rng):
        moves.append("pressure")
    elif rng.random() < 0.5:
        moves.append("request")
    moves += ["closing"] * (rng.random() < 0.4)
    return [_renewed(move, claim, rng) for move in moves]


def _makes(move: str, claim: Claim, rng: Random) -> bool:
    if move == "detail" and claim.fault is None:
        return False
    return rng.random() < MOVES[move].get(claim.kind, 0.03)


def _renewed(move: str, claim: Claim, rng: Random) -> str:
    """After the drift people hear of new things to say."""
    return f"{move}_new" if move in ("excuse", "pressure") and drifted(claim.night) and rng.random() < 0.5 else move


def _core(claim: Claim, rng: Random) -> str:
    """What the message is about. Clothes have no parts that could be missing from the box."""
    core = _any_core(claim, rng)
    return "empty" if core == "short" and CATEGORIES[claim.item.category].textile else core


def _any_core(claim: Claim, rng: Random) -> str:
    """The same words serve the honest and the dishonest."""
    draw = rng.random()
    if claim.kind == "empty_box":
        return "empty" if draw < 0.62 else "short" if draw < 0.80 else "wrong" if draw < 0.92 else "transit"
    if claim.kind == "swapped_item":
        return "swap" if draw < 0.48 else CORES.get(claim.reason) or claim.fault or "wrong"
    if claim.kind == "defective" and claim.reason not in ("damaged", "defective"):
        missing = "mild" if CATEGORIES[claim.item.category].textile else "short"
        return claim.fault or "mild" if draw < 0.6 else missing if draw < 0.7 else CORES.get(claim.reason, "mild")
    if claim.reason in ("damaged", "defective"):
        if claim.kind != "defective":
            return "mild" if draw < 0.6 else "transit" if draw < 0.7 else claim.fault or "mild"
        if claim.reason == "damaged" and draw < 0.4:
            return "transit"
        return claim.fault or "mild" if draw < 0.85 else "mild"
    if claim.reason == "wrong_item":
        return "wrong" if draw < 0.90 else "swap" if draw < 0.95 else "short" if draw < 0.98 else "empty"
    return CORES[claim.reason]


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
