"""Dirty rows of every kind, a small share of each night, and what should become of each."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from random import Random

from pipeline_project.sample.claims import Claim, claims_of, clock_goes_forward
from pipeline_project.sample.items import FIRST

SHARE = 0.02
MEGABYTE = 1_048_576
QUARANTINE, DUPLICATE, ADMITTED = "quarantine", "duplicate", "admitted"
PHOTO_FAILS = "admitted_but_photo_fails"

COLUMNS = (
    "claim_id", "claimed_at", "customer_id", "customer_email", "order_id", "item_id", "category", "brand", "price",
    "quantity", "ordered_at", "days_since_delivery", "reason", "channel", "payment", "message", "photos",
)  # fmt: skip

#: Kinds that change cells of a row: what is written into which column.
CELLS: dict[str, tuple[str, str]] = {
    "missing_id": ("claim_id", ""),
    "negative_price": ("price", "-49.90"),
    "zero_price": ("price", "0"),
    "enormous_price": ("price", "9999999999.99"),
    "nan_price": ("price", "NaN"),
    "infinite_quantity": ("quantity", "inf"),
    "decimal_comma": ("price", "49,90"),
    "impossible_date": ("claimed_at", "2025-02-30T10:15:00"),
    "ancient_order": ("ordered_at", "1970-01-01T00:00"),
    "unknown_category": ("category", "hovercraft"),
    "unknown_reason": ("reason", "because"),
    "empty_text": ("message", ""),
    "path_in_id": ("claim_id", "../../etc/passwd"),
    "path_in_photo": ("photos", "../../etc/passwd"),
}
PHOTO_KINDS = ("missing_photo", "truncated_photo", "text_as_photo", "enormous_photo")
COPIES = {"duplicate_row": DUPLICATE, "duplicate_id": QUARANTINE, "id_of_earlier_night": QUARANTINE}
OTHERS = ("megabyte_text", "control_characters", "too_few_columns", "too_many_columns")
EXPECTED = {
    **dict.fromkeys((*CELLS, *OTHERS), QUARANTINE),
    **dict.fromkeys((*PHOTO_KINDS, "path_in_photo"), PHOTO_FAILS),
    **dict.fromkeys(("empty_text", "control_characters"), ADMITTED),
    **COPIES,
    "missing_hour": QUARANTINE,
}
#: Every kind has its turn within so many nights.
TURNS = tuple(kind for kind in EXPECTED if kind != "missing_hour")


@dataclass(frozen=True)
class SampleLine:
    """A line of the file before it is written; `kind` is None for a clean one."""

    cells: tuple[str, ...]
    kind: str | None = None


@lru_cache(maxsize=400)
def plan(seed: int, per_night: int, night: date) -> dict[int, str]:
    """Which claims of a night are soiled, by number, and how.

    One kind has its turn each night, so that all come within `len(TURNS)` nights; the rest of the share is drawn.
    """
    claims = claims_of(seed, per_night, night)
    rng = Random(f"{seed}|{per_night}|{night.isoformat()}|dirt")
    order = Random(f"{seed}|dirt").sample(TURNS, len(TURNS))
    kinds = [order[(night - FIRST).days % len(order)]]
    often = [kind for kind in TURNS if kind != "megabyte_text"]
    kinds += rng.choices(often, k=round(len(claims) * SHARE) - 1)
    if clock_goes_forward(night):
        kinds.append("missing_hour")
    if night == FIRST:
        kinds = ["duplicate_id" if kind == "id_of_earlier_night" else kind for kind in kinds]
    places = rng.sample(range(len(claims)), min(len(kinds), len(claims)))
    return dict(zip(places, kinds, strict=False))


def soiled(claim: Claim, cells: tuple[str, ...], kind: str, seed: int, per_night: int) -> list[SampleLine]:
    """The rows that a claim becomes: one dirty row, or a clean one and a copy."""
    rng = claim.rng("dirt")
    if kind in COPIES:
        return [SampleLine(cells), _copy(claim, cells, kind, seed, per_night, rng)]
    return [SampleLine(_changed(claim, cells, kind, rng), kind)]


def _copy(claim: Claim, cells: tuple[str, ...], kind: str, seed: int, per_night: int, rng: Random) -> SampleLine:
    if kind == "duplicate_row":
        return SampleLine(cells, kind)
    other = _with(cells, message="Sorry, sent twice, please use this one.", quantity=str(claim.quantity + 1))
    if kind == "duplicate_id":
        return SampleLine(other, kind)
    before = claim.night - timedelta(days=1)
    dirty = plan(seed, per_night, before)
    clean = [old.claim_id for old in claims_of(seed, per_night, before) if old.number not in dirty]
    return SampleLine(_with(other, claim_id=rng.choice(clean or ["R000000-2222222"])), kind)


def _changed(claim: Claim, cells: tuple[str, ...], kind: str, rng: Random) -> tuple[str, ...]:
    if kind in CELLS:
        column, value = CELLS[kind]
        return _with(cells, **{column: value})
    message = _cell(cells, "message") or "again"
    if kind == "megabyte_text":
        return _with(cells, message=(f"{message} " * (MEGABYTE // len(message) + 1))[:MEGABYTE])
    if kind == "control_characters":
        return _with(cells, message=_with_controls(message, rng))
    if kind == "too_few_columns":
        return cells[: -rng.randrange(2, 5)]
    if kind == "too_many_columns":
        return (*cells, "", "x")
    if kind == "missing_hour":
        return _with(cells, claimed_at=f"{claim.night.isoformat()}T02:{rng.randrange(60):02d}:00")
    return cells


def _cell(cells: tuple[str, ...], column: str) -> str:
    return cells[COLUMNS.index(column)]


def _with(cells: tuple[str, ...], **changes: str) -> tuple[str, ...]:
    return tuple(changes.get(column, cell) for column, cell in zip(COLUMNS, cells, strict=True))


def _with_controls(text: str, rng: Random) -> str:
    letters = list(text)
    for sign in ("\x00", "\x07", "\x1b[31m", "\u202e", "\ufeff"):
        letters.insert(rng.randrange(len(letters) + 1), sign)
    return "".join(letters)


def soiled_photo(kind: str, photo: bytes) -> bytes | None:
    """What lies on disk under the photo's name; None when nothing does."""
    if kind == "missing_photo":
        return None
    if kind == "truncated_photo":
        return photo[: len(photo) // 2]
    if kind == "text_as_photo":
        return b"This is not a photo.\n"
    return _enormous(photo)


def _enormous(photo: bytes) -> bytes:
    """The same JPEG, claiming in its frame header to be 30,000 x 30,000 pixels."""
    start = photo.index(b"\xff\xc0") + 5
    return photo[:start] + struct.pack(">HH", 30_000, 30_000) + photo[start + 4 :]
