"""What is sold: items of ten categories, with brands, prices, and how often they are at fault."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date, timedelta
from random import Random

FIRST = date(2025, 1, 20)


@dataclass(frozen=True)
class Category:
    """What all items of a category have in common.

    Attributes:
        price: median, in euros.
        worn: how readily it is used and sent back, 1 being usual.
        fraud: how attractive it is to cheat with, 1 being usual.
        faults: what breaks, with weights; the words and the photos both follow it.
    """

    price: float
    textile: bool
    defective: float
    worn: float
    fraud: float
    faults: dict[str, float]


CATEGORIES = {
    "shoes": Category(85, True, 0.14, 1.4, 0.9, {"sole": 4, "seam": 2, "stain": 1, "tear": 1}),
    "dress": Category(95, True, 0.10, 2.3, 0.6, {"tear": 2, "seam": 3, "stain": 2}),
    "jacket": Category(140, True, 0.11, 1.5, 1.0, {"tear": 3, "seam": 3, "stain": 1}),
    "shirt": Category(38, True, 0.10, 0.9, 0.4, {"seam": 3, "stain": 3, "tear": 2}),
    "jeans": Category(70, True, 0.11, 0.8, 0.5, {"seam": 3, "tear": 3, "stain": 1}),
    "bag": Category(120, False, 0.15, 1.2, 1.5, {"broken": 4, "tear": 2, "stain": 1}),
    "headphones": Category(130, False, 0.26, 0.7, 2.4, {"dead": 4, "crack": 2, "broken": 2}),
    "lamp": Category(60, False, 0.25, 0.3, 0.8, {"dead": 3, "crack": 3, "broken": 2}),
    "kettle": Category(45, False, 0.27, 0.3, 0.8, {"dead": 3, "crack": 3, "broken": 2}),
    "toy": Category(30, False, 0.21, 0.3, 0.6, {"broken": 4, "crack": 2, "stain": 1, "dead": 1}),
}
BRANDS = {
    "fashion": ("Nordlicht", "Alma & Co", "Brisk", "Feldweg", "Lumen Studio", "Rue Sept", "Vantage"),
    "home": ("Hausgut", "Volt", "Kienholz", "Klara", "Brummel", "Sonora"),
}
COLORS = {
    "black": (38, 38, 42),
    "white": (226, 224, 218),
    "red": (172, 44, 46),
    "navy": (36, 52, 98),
    "green": (62, 110, 70),
    "beige": (196, 174, 140),
    "brown": (110, 74, 48),
    "grey": (128, 130, 134),
    "yellow": (216, 180, 62),
    "blue": (70, 112, 172),
    "pink": (214, 138, 152),
}


@dataclass(frozen=True)
class Item:
    item_id: str
    category: str
    brand: str
    color: str
    price: float
    defective: float
    popularity: float
    bad_from: date | None = None
    bad_until: date | None = None

    def in_bad_batch(self, night: date) -> bool:
        return self.bad_from is not None and self.bad_until is not None and self.bad_from <= night < self.bad_until

    def defect_rate(self, night: date) -> float:
        return 0.68 if self.in_bad_batch(night) else self.defective

    def demand(self, night: date) -> float:
        """Claims follow sales, and a bad batch brings more of them."""
        return self.popularity * (2.5 if self.in_bad_batch(night) else 1.0)


def make_items(seed: int, number: int = 300) -> tuple[Item, ...]:
    """`number` items, the categories in turn; one in twelve has a bad batch for some weeks in the first year."""
    rng = Random(f"{seed}|items")
    ids = rng.sample(range(10_000, 100_000), number)
    names = list(CATEGORIES)
    return tuple(_item(rng, id_, names[position % len(names)], position % 12 == 5) for position, id_ in enumerate(ids))


def _item(rng: Random, id_: int, category: str, troubled: bool) -> Item:
    about = CATEGORIES[category]
    starts = FIRST + timedelta(days=rng.randrange(0, 330))
    weeks = timedelta(days=rng.randrange(21, 50))
    price = min(about.price * math.exp(rng.gauss(0, 0.45)), 900.0)
    return Item(
        item_id=f"A{id_}",
        category=category,
        brand=rng.choice(BRANDS["fashion" if about.textile or category == "bag" else "home"]),
        color=rng.choice(list(COLORS)),
        price=round(price) - 0.05 if rng.random() < 0.7 else round(price, 2),
        defective=min(about.defective * rng.gammavariate(2.2, 1 / 2.2), 0.7),
        popularity=rng.paretovariate(1.6),
        bad_from=starts if troubled else None,
        bad_until=starts + weeks if troubled else None,
    )
