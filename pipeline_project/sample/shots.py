"""Which photos a customer takes: what they show follows the truth, mostly."""

from __future__ import annotations

from random import Random

from pipeline_project.sample.claims import Claim
from pipeline_project.sample.fraud import Ring
from pipeline_project.sample.items import CATEGORIES, COLORS
from pipeline_project.sample.photos import Shot, draw, draw_again, recut

#: Of the photos of an empty box: what they show, by the number below which they do; the rest show an item like it.
EMPTY_BOX = (("open_box", 0.62), ("parcel", 0.8), ("slip", 0.9))
#: Of every other photo: below the first number a packing slip, below the second the parcel or, as often as said, the
#: open box; the rest show the item.
SLIP_BELOW, OPENED = 0.05, 0.25
#: How often another item is there of another category, and how often a swapped one is in the photo.
OTHER_CATEGORY, SWAPPED_SHOWN = 0.3, 0.5


def parcel_below(reason: str) -> float:
    """The number below which a photo shows the slip or the parcel."""
    return 0.17 if reason in ("wrong_item", "damaged") else 0.08


def photos_of(claim: Claim) -> list[tuple[str, bytes]]:
    """File name and bytes of every photo of a claim. Names are as phones give them and tell nothing."""
    rng = claim.rng("photos")
    return [(photo_name(claim, number), _photo(claim, rng)) for number in range(claim.photos)]


def shots_of(claim: Claim) -> list[Shot]:
    """What each photo of a claim shows; of a ring's, which are copies, none."""
    rng = claim.rng("photos")
    return [] if claim.ring else [_shot(claim, rng) for _ in range(claim.photos)]


def photo_name(claim: Claim, number: int) -> str:
    """Unique within the night."""
    rng = claim.rng(f"name|{number}")
    style = rng.choice(("IMG_{day}_{tail}", "PXL_{day}{tail}", "{tail}", "photo-{tail}", "WhatsApp-Image-{tail}"))
    return style.format(day=f"{claim.night:%Y%m%d}", tail=f"{rng.getrandbits(40):010x}") + ".jpg"


def _photo(claim: Claim, rng: Random) -> bytes:
    if claim.ring:
        return _ring_photo(claim.ring, rng)
    return draw(_shot(claim, rng))


def _ring_photo(ring: Ring, rng: Random) -> bytes:
    """One of the ring's few photos: the very same bytes, or cropped and encoded again."""
    seed = rng.choice(ring.photos)
    color = Random(ring.script).choice(list(COLORS))
    photo = draw_again(Shot(seed, ring.category, color, ring.fault))
    again = 0.12 if ring.style == "copies" else 0.85
    return recut(photo, rng) if rng.random() < again else photo


def _shot(claim: Claim, rng: Random) -> Shot:
    seed, item = rng.getrandbits(48), claim.item
    aside = rng.random()
    if claim.kind == "empty_box":
        shown = next((subject for subject, below in EMPTY_BOX if aside < below), item.category)
        return Shot(seed, shown, item.color)
    if aside < SLIP_BELOW:
        return Shot(seed, "slip", item.color)
    if aside < parcel_below(claim.reason):
        return Shot(seed, "open_box" if rng.random() < OPENED else "parcel", item.color)
    subject, color = item.category, item.color
    if claim.reason == "wrong_item" or (claim.kind == "swapped_item" and rng.random() < SWAPPED_SHOWN):
        color = rng.choice(list(COLORS))
        subject = rng.choice(list(CATEGORIES)) if rng.random() < OTHER_CATEGORY else subject
    return Shot(seed, subject, color, _seen_fault(claim, rng), _seen_use(claim, rng), _seen_tag(claim, rng))


def fault_shown(claim: Claim) -> float:
    """How often a photo of the item shows its fault."""
    if claim.fault in (None, "dead"):
        return 0.0
    return {"defective": 0.78, "swapped_item": 0.3}.get(claim.kind, 0.14)


def _seen_fault(claim: Claim, rng: Random) -> str | None:
    return claim.fault if claim.fault not in (None, "dead") and rng.random() < fault_shown(claim) else None


def use_seen(claim: Claim) -> tuple[float, float]:
    """How often a photo of the item shows use, and how much at least."""
    often = {"wardrobing": 0.62, "swapped_item": 0.6, "defective": 0.14}.get(claim.kind, 0.05)
    return often, 0.45 if claim.kind in ("wardrobing", "swapped_item") else 0.25


def _seen_use(claim: Claim, rng: Random) -> float:
    often, strong = use_seen(claim)
    return rng.uniform(strong, 1.0) if rng.random() < often else 0.0


def tag_seen(claim: Claim) -> float:
    """How often the price tag still hangs on the item in a photo."""
    often = {"resellable": 0.5, "defective": 0.2}.get(claim.kind, 0.07)
    return often * (1.0 if CATEGORIES[claim.item.category].textile else 0.6)


def _seen_tag(claim: Claim, rng: Random) -> bool:
    return rng.random() < tag_seen(claim)
