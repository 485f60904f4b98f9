"""No row vanishes: every line that was read is in a row or passed over, and arrivals = admitted + quarantined + exact
duplicates, counted from the tables themselves."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass

_UNCOUNTED = (
    "how the files of these rows were read was not kept with them, so their lines cannot be counted: run the whole "
    "night again, arrivals included"
)


@dataclass(frozen=True)
class Balance:
    """One night's rows.

    Attributes:
        duplicates: rows whose very content stands already in this night or in an earlier one.
        lost: contents that arrived and are nowhere.
        twice: contents that are admitted and refused at once, or that an earlier night had admitted already.
        unread: lines of the night's files, counted when they were read, that are in no row.
        swallowed: rows that hold lines which are rows themselves, as when a stray quote runs over them.
        counted: whether it is known how the files of these rows were read; without that no line can be missed.
    """

    arrivals: int
    admitted: int
    quarantined: int
    duplicates: int
    lost: int
    twice: int
    unread: int = 0
    swallowed: int = 0
    counted: bool = True

    @property
    def holds(self) -> bool:
        adds_up = self.arrivals == self.admitted + self.quarantined + self.duplicates
        return adds_up and self.counted and not (self.lost or self.twice or self.unread or self.swallowed)

    @property
    def words(self) -> str:
        """The balance as a sentence."""
        sentence = (
            f"{self.arrivals} rows came in: {self.admitted} admitted, {self.quarantined} refused, "
            f"{self.duplicates} repeats, {self.lost} lost, {self.twice} kept twice; {self.unread} lines in no row, "
            f"{self.swallowed} rows with others in them"
        )
        return sentence if self.counted else f"{_UNCOUNTED}; {sentence}"

    def as_metadata(self) -> dict[str, int | bool]:
        return asdict(self)


@dataclass(frozen=True)
class CountedLines:
    """The lines of a night's files.

    Attributes:
        unread, swallowed: as `readings.unaccounted` counts them.
        counted: False where nothing tells how the files were read.
    """

    unread: int = 0
    swallowed: int = 0
    counted: bool = True


ALL_READ = CountedLines()


def balance(
    arrivals: Sequence[str],
    admitted: Sequence[str],
    quarantined: Sequence[str],
    earlier: Collection[str],
    lines: CountedLines = ALL_READ,
) -> Balance:
    """The balance of a night from the content hashes of its rows.

    Args:
        arrivals, admitted, quarantined: `row_sha256` of the night's tables, one per row.
        earlier: `row_sha256` of the cases of earlier nights.
    """
    arrived, stored, before = set(arrivals), set(admitted) | set(quarantined), set(earlier)
    repeated_from_earlier = (arrived - stored) & before
    return Balance(
        arrivals=len(arrivals),
        admitted=len(admitted),
        quarantined=len(quarantined),
        duplicates=len(arrivals) - len(arrived) + len(repeated_from_earlier),
        lost=len(arrived - stored - repeated_from_earlier),
        twice=len((set(admitted) & set(quarantined)) | (stored & before)),
        unread=lines.unread,
        swallowed=lines.swallowed,
        counted=lines.counted,
    )
