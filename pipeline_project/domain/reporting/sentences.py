"""Numbers and states in words: the sentences that page, index and metadata share."""

from __future__ import annotations

import math


def count(number: int, one: str, many: str | None = None) -> str:
    """A number with its noun: "1 case", "1,204 cases"."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def money(value: float | None, currency: str) -> str:
    """An amount with its currency; cents only where they matter."""
    if value is None or math.isnan(value):
        return "unknown"
    text = f"{abs(value):,.0f}" if abs(value) >= 100_000 else f"{abs(value):,.2f}"
    sign = "−" if value < 0 and text.strip("0.,") else ""
    return f"{sign}{text} {currency}"


def percent(share: float | None, digits: int = 0) -> str:
    """A share as a percentage; a small one is not rounded to nothing."""
    if share is None or math.isnan(share):
        return "unknown"
    if 0 < abs(share) * 100 < 0.5 * 10**-digits:
        return f"under {10**-digits:g} %"
    return f"{share * 100:.{digits}f} %"


def seconds(value: float) -> str:
    """A duration: "0.8 s", "42 s", "3 min 05 s"."""
    if value < 9.95:
        return f"{value:.1f} s"
    if value < 59.5:
        return f"{value:.0f} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest:02d} s"


def listed(parts: list[str]) -> str:
    """Parts as a sentence lists them: "a, b and c"."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def arrivals_sentence(arrivals: int, admitted: int, refused: int, repeats: int) -> str:
    if arrivals == 0:
        return "Nothing came in."
    if admitted == arrivals:
        return f"{count(arrivals, 'case')} came in and {'was' if arrivals == 1 else 'all were'} admitted."
    parts = [f"{admitted:,} admitted", f"{refused:,} refused"]
    parts.append(f"{repeats:,} {'was a repeat' if repeats == 1 else 'were repeats'}")
    return f"{count(arrivals, 'case')} came in; {', '.join(parts)}."


def decisions_sentence(by_policy: int, to_people: int) -> str:
    if not to_people:
        return "All were decided by the policy, none goes to a person."
    if not by_policy:
        return "All go to people."
    people = "goes to a person" if to_people == 1 else "go to people"
    return f"{by_policy:,} decided by the policy, {to_people:,} {people}."
