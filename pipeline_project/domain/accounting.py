"""No row vanishes: every line that was read is in a row or passed over, and arrivals = admitted + quarantined + exact
duplicates, counted from the tables themselves."""

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
        unread: lines of the night's files, counted when they were read, that are in no row.
        swallowed: rows that hold lines which are rows themselves, as when a stray quote runs over them.
    """

    arrivals: int
    admitted: int
    quarantined: int
    duplicates: int
    lost: int
    twice: int
    unread: int = 0
    swallowed: int = 0

    @property
    def holds(self) -> bool:
        adds_up = self.arrivals == self.admitted + self.quarantined + self.duplicates
        return adds_up and not (self.lost or self.twice or self.unread or self.swallowed)

    @property
    def words(self) -> str:
        """The balance as a sentence."""
        return (
            f"{self.arrivals} rows came in: {self.admitted} admitted, {self.quarantined} refused, "
            f"{self.duplicates} repeats, {self.lost} lost, {self.twice} kept twice; {self.unread} lines in no row, "
            f"{self.swallowed} rows with others in them"
        )

    def as_metadata(self) -> dict[str, int]:
        return asdict(self)


def balance(
    arrivals: Sequence[str],
    admitted: Sequence[str],
    quarantined: Sequence[str],
    earlier: Collection[str],
    unread: int = 0,
    swallowed: int = 0,
) -> Balance:
    """The balance of a night from the content hashes of its rows.

    Args:
        arrivals, admitted, quarantined: `row_sha256` of the night's tables, one per row.
        earlier: `row_sha256` of the cases of earlier nights.
        unread, swallowed: as `readings.unaccounted` counts them.
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
        unread=unread,
        swallowed=swallowed,
    )
