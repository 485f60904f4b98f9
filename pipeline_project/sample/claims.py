"""The claims of one night as facts: who, what, why, and what is true of them. Words and photos come later."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from random import Random

from pipeline_project.sample import seasons
from pipeline_project.sample.customers import CHANNELS, Customer, make_customers
from pipeline_project.sample.fraud import Ring, ring_of
from pipeline_project.sample.items import CATEGORIES, Item, make_items

ID_LETTERS = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"
LABELS = ("resellable", "defective", "worn", "fraud")

#: Weights of the reasons a customer ticks, by what is true of the claim.
REASONS = {
    "resellable": {
        "does_not_fit": 34,
        "changed_mind": 27,
        "not_as_described": 14,
        "wrong_item": 9,
        "other": 8,
        "defective": 4,
        "damaged": 4,
    },
    "defective": {"defective": 47, "damaged": 31, "not_as_described": 14, "other": 5, "wrong_item": 3},
    "wardrobing": {
        "does_not_fit": 36,
        "changed_mind": 26,
        "not_as_described": 18,
        "defective": 7,
        "other": 8,
        "damaged": 5,
    },
    "empty_box": {"wrong_item": 30, "other": 36, "damaged": 22, "not_as_described": 12},
    "swapped_item": {"wrong_item": 26, "not_as_described": 30, "defective": 24, "changed_mind": 12, "other": 8},
    "ring": {"damaged": 55, "defective": 45},
}


@dataclass(frozen=True)
class World:
    """Everything that stays the same from night to night."""

    seed: int
    per_night: int
    customers: tuple[Customer, ...]
    items: tuple[Item, ...]


@dataclass(frozen=True)
class Claim:
    """One claim and what is true of it.

    Attributes:
        kind: resellable, defective, wardrobing, empty_box, swapped_item or ring.
        fault: what a defective item has, or what a customer says it has; else None.
        number: position in the night, by time.
    """

    claim_id: str
    night: date
    number: int
    claimed_at: str
    customer: Customer
    item: Item
    order_id: str
    price: float
    quantity: int
    ordered_at: str
    days_since_delivery: int
    reason: str
    channel: str
    payment: str
    label: str
    kind: str
    fault: str | None
    photos: int
    why: str
    ring: Ring | None = None
    ring_order: int = 0

    def rng(self, purpose: str) -> Random:
        """Random numbers that depend on the claim and the purpose alone."""
        return Random(f"{self.claim_id}|{purpose}")


@lru_cache(maxsize=4)
def make_world(seed: int, per_night: int) -> World:
    """Customers and items of a seed; a larger shop has more customers, at least 2,000."""
    return World(seed, per_night, make_customers(seed, max(2000, per_night * 10)), make_items(seed))


@lru_cache(maxsize=8)
def claims_of(seed: int, per_night: int, night: date) -> tuple[Claim, ...]:
    """The claims of a night, in order of time."""
    world = make_world(seed, per_night)
    rng = Random(f"{seed}|{per_night}|{night.isoformat()}|claims")
    ring = ring_of(seed, world.customers, night)
    plotted = [(member, order) for on, member, order in ring.claims if on == night]
    # A small sample must not be all ring.
    plotted = [claim for claim in plotted if rng.random() < per_night / 100]
    number = seasons.volume(night, per_night, rng)
    times = sorted(_moments(night, max(number, len(plotted)), rng))
    ring_places = dict(zip(rng.sample(range(len(times)), len(plotted)), plotted, strict=True))
    members = {customer.customer_id: customer for customer in world.customers} if plotted else {}
    shelves = _shelves(world, night)
    claims = []
    for position, moment in enumerate(times):
        if position in ring_places:
            member, order = ring_places[position]
            claims.append(_claim(shelves, _Occasion(night, position, moment, members[member], ring, order), rng))
        else:
            customer = rng.choices(world.customers, cum_weights=shelves.customers)[0]
            claims.append(_claim(shelves, _Occasion(night, position, moment, customer), rng))
    return tuple(claims)


@dataclass(frozen=True)
class _Shelves:
    customers: list[float]
    categories: dict[str, float]
    items: dict[str, tuple[list[Item], list[float]]]


def _shelves(world: World, night: date) -> _Shelves:
    total, customers = 0.0, []
    for customer in world.customers:
        total += customer.claims
        customers.append(total)
    items = {name: [item for item in world.items if item.category == name] for name in CATEGORIES}
    weighted = {name: (stock, [item.demand(night) for item in stock]) for name, stock in items.items()}
    return _Shelves(customers, seasons.category_shares(night), weighted)


@dataclass(frozen=True)
class _Occasion:
    """Who claims something when; the `ring_order`th claim of a ring, where the customer belongs to one."""

    night: date
    position: int
    moment: datetime
    customer: Customer
    ring: Ring | None = None
    ring_order: int = 0


def _claim(shelves: _Shelves, occasion: _Occasion, rng: Random) -> Claim:
    night, moment, customer, ring = occasion.night, occasion.moment, occasion.customer, occasion.ring
    category = ring.category if ring else rng.choices(list(shelves.categories), list(shelves.categories.values()))[0]
    stock, demand = shelves.items[category]
    item = rng.choices(stock, demand)[0]
    kind = "ring" if ring else _kind(customer, item, night, rng)
    label = {"wardrobing": "worn", "empty_box": "fraud", "swapped_item": "fraud", "ring": "fraud"}.get(kind, kind)
    reason = _reason(kind, item, night, rng)
    days = _days_kept(kind, rng)
    ordered = _existing(moment - timedelta(days=days + rng.randrange(2, 7), minutes=rng.randrange(1440)))
    return Claim(
        claim_id=f"R{night:%y%m%d}-" + "".join(rng.choices(ID_LETTERS, k=7)),
        night=night,
        number=occasion.position,
        claimed_at=_stamp(moment, rng),
        customer=customer,
        item=item,
        order_id=f"B{rng.randrange(10**8):08d}",
        price=item.price if rng.random() < 0.8 else round(item.price * rng.choice((0.7, 0.8, 0.9)), 2),
        quantity=1 if rng.random() < 0.93 else rng.randrange(2, 5),
        ordered_at=ordered.isoformat(timespec="minutes"),
        days_since_delivery=days,
        reason=reason,
        channel=customer.channel if rng.random() < 0.8 else rng.choices(CHANNELS, [5, 4, 1])[0],
        payment=seasons.payment_tonight(customer.payment, night, rng),
        label=label,
        kind=kind,
        fault=_fault(kind, reason, item, ring, rng),
        photos=_photo_count(kind, reason, rng),
        why=_why(kind, reason, item, night, customer, ring),
        ring=ring,
        ring_order=occasion.ring_order,
    )


def empty_share(item: Item) -> float:
    """How much of the fraud with such an item is an empty box; the rest is another item in its place."""
    return 0.35 if CATEGORIES[item.category].textile else 0.65


def kind_chances(customer: Customer, item: Item, night: date) -> dict[str, float]:
    """How likely a claim of this customer about this item is of which kind; rings apart."""
    about = CATEGORIES[item.category]
    dear = min(max((item.price / about.price) ** 0.5, 0.7), 1.6)
    # Clothes that are needed for a weekend come back right after it.
    worn = min(customer.worn * about.worn * dear * (1.25 if night.weekday() < 2 else 0.9), 0.6)
    fraud = min(customer.fraud * (0.5 + 0.5 * about.fraud) * dear, 0.75)
    empty, defective = empty_share(item), item.defect_rate(night)
    honest = max(0.0, 1 - fraud - worn)
    return {
        "empty_box": fraud * empty,
        "swapped_item": fraud * (1 - empty),
        "wardrobing": min(worn, 1 - fraud),
        "defective": honest * defective,
        "resellable": honest * (1 - defective),
    }


def _kind(customer: Customer, item: Item, night: date, rng: Random) -> str:
    chances = kind_chances(customer, item, night)
    fraud = chances["empty_box"] + chances["swapped_item"]
    draw = rng.random()
    if draw < fraud:
        return "empty_box" if rng.random() < empty_share(item) else "swapped_item"
    if draw < fraud + chances["wardrobing"]:
        return "wardrobing"
    return "defective" if rng.random() < item.defect_rate(night) else "resellable"


def reason_weights(kind: str, item: Item, night: date) -> dict[str, float]:
    """How readily each reason is ticked on a claim of that kind."""
    weights = {name: weight * seasons.reason_factor(name, night) for name, weight in REASONS[kind].items()}
    if not CATEGORIES[item.category].textile and "does_not_fit" in weights:
        weights["changed_mind"] = weights.get("changed_mind", 0) + 0.7 * weights.pop("does_not_fit")
    return weights


def _reason(kind: str, item: Item, night: date, rng: Random) -> str:
    weights = reason_weights(kind, item, night)
    return rng.choices(list(weights), list(weights.values()))[0]


def has_fault(kind: str, reason: str) -> bool:
    """Whether an item of such a claim has a fault, or is said to have one."""
    return kind == "defective" or reason in ("damaged", "defective")


def _fault(kind: str, reason: str, item: Item, ring: Ring | None, rng: Random) -> str | None:
    if ring:
        return ring.fault
    if has_fault(kind, reason):
        faults = CATEGORIES[item.category].faults
        return rng.choices(list(faults), list(faults.values()))[0]
    return None


#: Days between delivery and claim: their mean by kind, the shape of their spread, and the most.
MEAN_DAYS_KEPT = {"wardrobing": 15, "defective": 13, "swapped_item": 13, "empty_box": 5, "ring": 4}
USUAL_DAYS_KEPT, KEPT_SHAPE, MOST_DAYS_KEPT = 9, 1.7, 100


def _days_kept(kind: str, rng: Random) -> int:
    mean = MEAN_DAYS_KEPT.get(kind, USUAL_DAYS_KEPT)
    return min(int(rng.gammavariate(KEPT_SHAPE, mean / KEPT_SHAPE)), MOST_DAYS_KEPT)


def _photo_count(kind: str, reason: str, rng: Random) -> int:
    complains = reason in ("damaged", "defective", "wrong_item", "not_as_described")
    share = 1.0 if kind == "ring" else 0.80 if complains else 0.47
    return rng.choices((1, 2, 3), (60, 28, 12))[0] if rng.random() < share else 0


def _why(kind: str, reason: str, item: Item, night: date, customer: Customer, ring: Ring | None) -> str:
    if ring:
        return f"{ring.name} in the style {ring.style}"
    if kind == "defective":
        return "item from a bad batch" if item.in_bad_batch(night) else "item at fault"
    if kind == "resellable":
        return f"honest return: {reason}"
    return f"{kind} by a {customer.temper} customer"


# -- times ---------------------------------------------------------------------------------------------------

#: How many claims come in each hour of the day.
HOURS = (1, 1, 0.4, 0.3, 0.3, 0.6, 2, 4, 5, 6, 6, 6, 7, 6, 5, 5, 6, 7, 8, 9, 10, 9, 6, 3)


def clock_goes_forward(night: date) -> bool:
    """Whether the hour from two to three does not exist in Berlin."""
    return night == _last_sunday(night.year, 3)


def clock_goes_back(night: date) -> bool:
    """Whether the hour from two to three occurs twice in Berlin."""
    return night == _last_sunday(night.year, 10)


def _moments(night: date, number: int, rng: Random) -> list[datetime]:
    """Local times: more in the evening, a few after midnight, and some in the hour that occurs twice."""
    hours = rng.choices(range(24), HOURS, k=number)
    if clock_goes_back(night):
        hours = [2] * min(4, number) + hours[4:]
    start = datetime.combine(night, time())
    return [_existing(start + timedelta(hours=hour, seconds=rng.randrange(3600))) for hour in hours]


def _existing(moment: datetime) -> datetime:
    """The shop's clock never shows the hour that is left out."""
    skipped = clock_goes_forward(moment.date()) and moment.hour == 2
    return moment + timedelta(hours=1) if skipped else moment


def _stamp(moment: datetime, rng: Random) -> str:
    """ISO 8601, mostly without an offset, as the shop's own clock shows it."""
    plain = moment.isoformat()
    if rng.random() >= 0.15:
        return plain
    offset = "+02:00" if _summer(moment, rng) else "+01:00"
    return plain + offset


def _summer(moment: datetime, rng: Random) -> bool:
    day = moment.date()
    if clock_goes_back(day) and moment.hour == 2:
        return rng.random() < 0.5
    begins, ends = _last_sunday(day.year, 3), _last_sunday(day.year, 10)
    if day in (begins, ends):
        return (moment.hour >= 3) == (day == begins)
    return begins < day < ends


def _last_sunday(year: int, month: int) -> date:
    last = date(year, month, 31)
    return last - timedelta(days=(last.weekday() + 1) % 7)
