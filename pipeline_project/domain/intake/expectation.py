"""What a rule of a contract found over a night's rows."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Expectation:
    """The verdict of one rule over one table.

    Attributes:
        name: unique within the contract, a slug.
        column: what it looks at, or None for a rule over the table.
        rule: the rule in words, as a check's description.
        failed: positions (row numbers) that break it; empty when it holds or cannot name rows.
        passed: the verdict.
        systemic: cannot be mended by taking rows out (a missing column); blocks the night.
        evaluated: rows looked at.
    """

    name: str
    column: str | None
    rule: str
    passed: bool
    evaluated: int
    failed: tuple[int, ...] = ()
    systemic: bool = False
    detail: str = ""
