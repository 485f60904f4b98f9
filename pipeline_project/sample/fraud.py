"""Fraud that several accounts do together: rings that reuse photos and texts for one or two weeks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from random import Random

from pipeline_project.sample.customers import Customer
from pipeline_project.sample.items import FIRST
from pipeline_project.sample.seasons import drifted

#: One ring in every stretch of so many days.
STRETCH = 45
TARGETS = ("headphones", "bag", "jacket", "shoes", "kettle", "lamp")


@dataclass(frozen=True)
class Ring:
    """A group of accounts with one script.

    Attributes:
        style: `copies` reuses the very same photos and one text; `paraphrase` crops and re-encodes, and rewrites.
        members: customer ids, 8 to 20.
        claims: (night, member, order within the ring), 1 or 2 for each member.
    """

    name: str
    style: str
    category: str
    fault: str
    members: tuple[str, ...]
    claims: tuple[tuple[date, str, int], ...]
    script: int
    photos: tuple[int, ...]


def ring_of(seed: int, customers: tuple[Customer, ...], night: date) -> Ring:
    """The ring whose stretch of days holds `night`; it is not active on all of them."""
    return _ring(seed, customers, (night - FIRST).days // STRETCH)


@lru_cache(maxsize=64)
def _ring(seed: int, customers: tuple[Customer, ...], stretch: int) -> Ring:
    rng = Random(f"{seed}|ring|{stretch}")
    begins = FIRST + timedelta(days=stretch * STRETCH + rng.randrange(8, 24))
    lasts = rng.randrange(8, 15)
    style = "paraphrase" if drifted(begins) else "copies"
    # A ring hides behind accounts that look ordinary, and behind old ones that it took over.
    members = tuple(c.customer_id for c in rng.sample(customers, min(rng.randrange(12, 21), len(customers))))
    claims = [
        (begins + timedelta(days=rng.randrange(lasts)), member, order)
        for order, member in enumerate(member for member in members for _ in range(rng.randrange(1, 3)))
    ]
    category = rng.choice(TARGETS)
    return Ring(
        name=f"ring-{stretch + 1}" if stretch >= 0 else f"ring-early{-stretch}",
        style=style,
        category=category,
        fault=rng.choice(("crack", "broken") if category in ("headphones", "kettle", "lamp") else ("tear", "stain")),
        members=members,
        claims=tuple(sorted(claims)),
        script=rng.randrange(1000),
        photos=tuple(rng.getrandbits(48) for _ in range(rng.randrange(2, 5))),
    )
