"""How nights differ: volume, what is sold, why it comes back, and the drift after some weeks."""

from __future__ import annotations

from datetime import date, timedelta
from random import Random

#: From this night on categories, wording, payment and the rings' style are others: day 45 after the first decision.
DRIFT_FROM = date(2025, 3, 1) + timedelta(days=45)

#: Monday to Sunday: people pack parcels at the weekend and hand them in on Monday.
WEEKDAYS = (1.32, 1.12, 1.0, 0.95, 0.90, 0.82, 0.89)
MONTHS = (1.12, 0.96, 0.97, 0.98, 1.0, 0.97, 0.94, 0.92, 1.0, 1.02, 1.08, 1.04)
SHARES = {
    "shoes": 16.0,
    "dress": 13.0,
    "jacket": 11.0,
    "shirt": 13.0,
    "jeans": 11.0,
    "bag": 8.0,
    "headphones": 9.0,
    "lamp": 6.0,
    "kettle": 6.0,
    "toy": 7.0,
}
WINTER, SUMMER = (11, 12, 1, 2), (5, 6, 7, 8)


def drifted(night: date) -> bool:
    return night >= DRIFT_FROM


def volume(night: date, per_night: int, rng: Random) -> int:
    """How many claims arrive: `per_night` on average, more on Mondays and in January."""
    usual = per_night * WEEKDAYS[night.weekday()] * MONTHS[night.month - 1]
    return max(1, round(usual * rng.uniform(0.93, 1.07)))


def category_shares(night: date) -> dict[str, float]:
    """Weights of the categories: coats in winter, dresses in summer, toys after Christmas, more electric things
    after the drift."""
    shares = dict(SHARES)
    if night.month in WINTER:
        shares["jacket"] *= 1.5
        shares["lamp"] *= 1.2
    if night.month in SUMMER:
        shares["dress"] *= 1.5
        shares["jacket"] *= 0.4
    if night.month in (12, 1):
        shares["toy"] *= 1.8
    if drifted(night):
        shares["headphones"] *= 2.0
        shares["bag"] *= 1.5
        shares["lamp"] *= 1.3
        shares["shirt"] *= 0.55
        shares["jeans"] *= 0.6
    return shares


def reason_factor(reason: str, night: date) -> float:
    """How much likelier a reason is on such a night."""
    if reason == "changed_mind":
        return (1.4 if night.month == 1 else 1.0) * (1.3 if night.weekday() in (0, 6) else 1.0)
    if reason == "does_not_fit":
        return 1.2 if night.weekday() in (0, 5, 6) else 1.0
    if reason == "wrong_item":
        return 1.5 if night.month in (1, 12) else 1.0
    return 1.0


def payment_tonight(usual: str, night: date, rng: Random) -> str:
    """A customer pays as usual nine times in ten; after the drift most invoices become PayPal."""
    payment = usual if rng.random() < 0.9 else rng.choice(("card", "invoice", "paypal"))
    if drifted(night) and payment == "invoice" and rng.random() < 0.65:
        return "paypal"
    return payment
