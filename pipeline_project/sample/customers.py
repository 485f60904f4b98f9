"""Who sends things back: customers, what they tend to do, and how they write."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random


@dataclass(frozen=True)
class Temper:
    """What a kind of customer tends to do.

    Attributes:
        share: of all customers.
        claims: relative number of claims.
        worn, fraud: chance that one of their claims is that, before the item is looked at.
    """

    share: float
    claims: float
    worn: float
    fraud: float


TEMPERS = {
    "loyal": Temper(share=0.52, claims=1.0, worn=0.011, fraud=0.003),
    "bargain": Temper(share=0.27, claims=1.6, worn=0.033, fraud=0.008),
    "serial": Temper(share=0.17, claims=3.6, worn=0.105, fraud=0.011),
    "fraudster": Temper(share=0.04, claims=4.0, worn=0.12, fraud=0.48),
}
PAYMENTS = ("card", "invoice", "paypal")
CHANNELS = ("web", "app", "shop")
GIVEN = (
    "anna ben carla david elif finn greta hannes ines jonas karim lena marek nadia oskar paula quentin rosa samir "
    "tilda umut vera wanda xenia yusuf zoe mia leon emma noah ida luca maria stefan agnes piotr olga ali chen yuki"
)
FAMILY = (
    "schmidt mueller weber fischer yilmaz kowalski rossi novak jensen bauer hoffmann kaya wolf schaefer koch richter "
    "klein nowak smith garcia petrov nguyen ivanova dubois keller vogel brandt lange peters haas"
)


@dataclass(frozen=True)
class Customer:
    customer_id: str
    email: str
    temper: str
    payment: str
    channel: str
    german: bool

    @property
    def claims(self) -> float:
        return TEMPERS[self.temper].claims

    @property
    def worn(self) -> float:
        return TEMPERS[self.temper].worn

    @property
    def fraud(self) -> float:
        return TEMPERS[self.temper].fraud


def make_customers(seed: int, number: int) -> tuple[Customer, ...]:
    """`number` customers; ids are drawn apart from what the customers are like, so they give nothing away."""
    rng = Random(f"{seed}|customers")
    ids = rng.sample(range(100_000, 1_000_000), number)
    kinds, shares = list(TEMPERS), [temper.share for temper in TEMPERS.values()]
    return tuple(_customer(rng, id_, rng.choices(kinds, shares)[0]) for id_ in ids)


def _customer(rng: Random, id_: int, temper: str) -> Customer:
    given, family = rng.choice(GIVEN.split()), rng.choice(FAMILY.split())
    email = f"{given}.{family}{rng.randrange(1, 999)}@example.{rng.choice(['com', 'org', 'net'])}"
    # drawn and thrown away: without it every seed would make other customers
    rng.random()
    return Customer(
        customer_id=f"K{id_}",
        email=email,
        temper=temper,
        payment=rng.choices(PAYMENTS, [0.45, 0.3, 0.25])[0],
        channel=rng.choices(CHANNELS, [0.5, 0.38, 0.12])[0],
        german=rng.random() < 0.16,
    )
