"""What lets a night be decided and released: verdicts that passed over exactly the tables that are used.

A check gates the run in which it runs. A night outlives its runs: somebody materializes only its decisions, a daemon
runs a failed run again from the middle. So every blocking check leaves its verdict as a fact that names what it looked
at, and whoever decides or releases looks for the verdicts of what it uses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pipeline_project.domain.core.errors import NightBlocked

#: In `judged`, beside the tables: which wording of the workflow's file the verdict was given under, and which version
#: of the code gave it.
SPEC, CODE = "spec", "code"

Step = Literal["decisions", "release"]

NOTHING_VANISHED, NIGHT_IS_SOUND = "nothing_vanished", "night_is_sound"
#: The check of a night's arrivals, which blocks where the spec wants it to.
LANDED_CHECK = "landed_as_expected"

#: Checks without which no night is decided, and those without which none is released; a spec may add to them. The
#: ledger's migration repeats them for the database.
ALWAYS: Mapping[Step, tuple[str, ...]] = {
    "decisions": (NOTHING_VANISHED, NIGHT_IS_SOUND, "cases_contract", "scores_contract"),
    "release": (NOTHING_VANISHED, NIGHT_IS_SOUND, "cases_contract", "scores_contract", "decisions_contract"),
}


#: Every check that stops a night.
BLOCKING = frozenset({*ALWAYS["release"], "embeddings_contract", LANDED_CHECK})


@dataclass(frozen=True)
class CheckVerdict:
    """What a blocking check found.

    Attributes:
        check: its name.
        words: what it found, as a person reads it; it quotes no value of a case.
        judged: what it looked at: noun of a table -> which writing of the night (`StoredTable.content`), `SPEC` and
            `CODE`.
    """

    check: str
    passed: bool
    words: str
    judged: Mapping[str, str]


@dataclass(frozen=True)
class Basis:
    """What a night's decisions, or its release, rest on.

    Attributes:
        judged: as `CheckVerdict.judged`, of every table that is used.
        checks: the names of those that must have passed on it.
    """

    judged: Mapping[str, str]
    checks: tuple[str, ...]


def concerns(verdict: CheckVerdict, basis: Basis) -> bool:
    """Whether a verdict is about nothing but what is used; one of an older table is not."""
    return verdict.judged.items() <= basis.judged.items()


def broken(verdicts: Sequence[CheckVerdict], basis: Basis) -> list[CheckVerdict]:
    """Of each check the newest verdict about what is used, where it has not passed.

    Args:
        verdicts: of the night, in the order in which they were recorded.
    """
    newest = {verdict.check: verdict for verdict in verdicts if concerns(verdict, basis)}
    return [verdict for verdict in newest.values() if not verdict.passed]


def missing(verdicts: Sequence[CheckVerdict], basis: Basis) -> list[str]:
    """The checks that have said nothing about what is used."""
    answered = {verdict.check for verdict in verdicts if concerns(verdict, basis)}
    return [check for check in basis.checks if check not in answered]


def clear(workflow: str, night: str, step: Step, verdicts: Sequence[CheckVerdict], basis: Basis) -> None:
    """Lets a night pass.

    Raises:
        NightBlocked: a check has not passed on what is used, or was not made on it; with the command to run next.
    """
    what = {"decisions": "is not decided", "release": "is not released"}[step]
    if failed := broken(verdicts, basis):
        why = "; ".join(f"{verdict.check}: {verdict.words}" for verdict in failed)
        ways = dict.fromkeys(way_out(verdict.check, workflow, night) for verdict in failed)
        raise NightBlocked(f"night {night} of {workflow} {what}: {why}. Next: {'; '.join(ways)}")
    if unseen := missing(verdicts, basis):
        if others := _other_code(verdicts, basis):
            raise NightBlocked(
                f"night {night} of {workflow} {what}: version {', '.join(others)} of the code began it, and this "
                f"process runs {basis.judged[CODE]}; what two versions make is not put together. "
                f"Next: {run_again(workflow, night)}"
            )
        raise NightBlocked(
            f"night {night} of {workflow} {what}: its tables as they are now were not looked at by "
            f"{', '.join(unseen)}, because the checks were left out or a table was written again since. "
            f"Next: {run_again(workflow, night)}"
        )


def _other_code(verdicts: Sequence[CheckVerdict], basis: Basis) -> list[str]:
    """The other versions of the code that looked at the very tables that are used."""
    own = basis.judged.get(CODE)
    about = {verdict.judged.get(CODE, own): {**verdict.judged, CODE: own} for verdict in verdicts}
    return sorted(str(code) for code, judged in about.items() if code != own and judged.items() <= basis.judged.items())


def run_again(workflow: str, night: str) -> str:
    """The command that runs a night whole, checks included."""
    return f"pipeline nights {workflow} --from {night} --to {night}"


def way_out(check: str, workflow: str, night: str) -> str:
    """The command that helps after a check stopped a night; running again helps only where other rows would come."""
    if check in (NIGHT_IS_SOUND, "cases_contract"):
        return f"pipeline quarantine {workflow} --night {night}"
    if check == "scores_contract":
        return f"pipeline models {workflow}"
    if check == LANDED_CHECK:
        return f"pipeline status {workflow}"
    return "pipeline doctor" if check == "embeddings_contract" else run_again(workflow, night)
