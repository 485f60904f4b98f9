"""How long the stores keep what nothing names any more, in days."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields

from pipeline_project.domain.core.errors import SettingInvalid


@dataclass(frozen=True)
class StoreTerms:
    """
    Attributes:
        events: what Dagster's log tells of steps, after their run ended. Materializations and runs stay.
        models: files of model versions that never decided, were never signed and were not replayed by anybody.
        versions: files of the lake that only earlier versions of a table need, and no decision names.
        vectors: vectors whose content no night names.
    """

    events: int = 90
    models: int = 365
    versions: int = 30
    vectors: int = 30

    @classmethod
    def of(cls, written: Iterable[str], variable: str) -> StoreTerms:
        """The terms as `events=90` and so on; what is left out is as always.

        Raises:
            SettingInvalid: another name, or no number of days.
        """
        names = [field.name for field in fields(cls)]
        given: dict[str, int] = {}
        for term in written:
            name, _, days = (part.strip() for part in term.partition("="))
            if name not in names or not (days.isascii() and days.isdecimal() and int(days) >= 1):
                raise SettingInvalid(
                    f"{variable} is read as {', '.join(f'{name}={getattr(cls, name)}' for name in names)}: days, 1 at "
                    "least; what is left out is as here"
                )
            given[name] = int(days)
        return cls(**given)

    def __str__(self) -> str:
        return ",".join(f"{name}={days}" for name, days in asdict(self).items())
