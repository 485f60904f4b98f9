"""No row vanishes: arrivals = admitted + quarantined + exact duplicates, counted from the tables themselves."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Balance:
    """One night's rows.

    Attributes:
        duplicates: rows whose very content stands already in this night or in an earlier one.
        lost: contents that arrived and are nowhere.
        twice: contents that are admitted and refused at once, or that an earlier night had admitted already.
    """

    arrivals: int
    admitted: int
    quarantined: int
    duplicates: int
    lost: int
    twice: int

    @property
    def holds(self) -> bool:
        adds_up = self.arrivals == self.admitted + self.quarantined + self.duplicates
        return adds_up and not self.lost and not self.twice

    @property
    def words(self) -> str:
        """The balance as a sentence."""
        return (
            f"{self.arrivals} rows came in: {self.admitted} admitted, {self.quarantined} refused, "
            f"{self.duplicates} repeats, {self.lost} lost, {self.twice} kept twice"
        )

    def as_metadata(self) -> dict[str, int]:
        return asdict(self)


def balance(
    arrivals: Sequence[str], admitted: Sequence[str], quarantined: Sequence[str], earlier: Collection[str]
) -> Balance:
    """The balance of a night from the content hashes of its rows.

    Args:
        arrivals, admitted, quarantined: `row_sha256` of the night's tables, one per row.
        earlier: `row_sha256` of the cases of earlier nights.
    """
    came, kept, before = set(arrivals), set(admitted) | set(quarantined), set(earlier)
    repeated_from_earlier = (came - kept) & before
    return Balance(
        arrivals=len(arrivals),
        admitted=len(admitted),
        quarantined=len(quarantined),
        duplicates=len(arrivals) - len(came) + len(repeated_from_earlier),
        lost=len(came - kept - repeated_from_earlier),
        twice=len((set(admitted) & set(quarantined)) | (kept & before)),
    )
