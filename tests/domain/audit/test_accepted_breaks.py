"""Accepted breaks: each excuses exactly the checkpoints that it names, on chains that live in memory."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline_project.domain.audit.breaks import NOTHING, standing
from pipeline_project.domain.audit.findings import AcceptedBreak, Checkpoint, End, Tampering
from pipeline_project.domain.audit.verify import verify_chain
from tests.domain.audit.test_verify_chain import BEGAN, Link, chain, link, signed

Ends = tuple[Tampering, int]


def restored(links: list[Link], kept: int, length: int, words: str = "-again") -> list[Link]:
    """The chain as it goes on after the first `kept` of its batches were restored."""
    went = links[:kept]
    for number in range(kept + 1, length + 1):
        went.append(link(number, went[-1][0].hash if went else NOTHING.hash, words=words))
    return went


def end(links: list[Link], number: int) -> End:
    return End(number, links[number - 1][0].hash) if number else NOTHING


def accepted(lines: list[Checkpoint], agreed: End, kept: End) -> list[Checkpoint]:
    """The lines with a break behind them that names what lies before it."""
    said = AcceptedBreak(agreed, lines[-1].end, kept, "olga", "disk lost", BEGAN, f"record-{len(lines)}")
    return [*lines, Checkpoint(len(lines) + 1, kept.number, kept.hash, BEGAN, accepted=said)]


def found(links: list[Link], lines: list[Checkpoint]) -> list[Ends]:
    return [(each.what, each.batch) for each in verify_chain(links, lines).findings]


OLD = list(chain(9))
LINES = signed(OLD, 3, 6, 9)
#: Restored from a copy that held five batches, then gone on for six more.
NEW = restored(OLD, 5, 11)
BROKEN = accepted(LINES, end(OLD, 3), end(NEW, 7))


def test_without_the_break_the_restored_chain_is_not_what_was_signed() -> None:
    assert found(NEW[:5], LINES) == [(Tampering.TRUNCATED, 6)]
    assert found(NEW, LINES) == [(Tampering.RECHAINED, 4)]


def test_an_accepted_break_is_told_and_vouches_for_what_it_kept() -> None:
    verdict = verify_chain(NEW, BROKEN)
    assert verdict.intact and verdict.vouched == BROKEN[-1]
    (told,) = verdict.breaks
    assert (told.agreed, told.lost, told.kept) == (end(OLD, 3), end(OLD, 9), end(NEW, 7))
    for words in ("batches 4 to 9 were signed", OLD[8][0].hash[:12], "olga accepted", "batch 7", NEW[6][0].hash[:12]):
        assert words in verdict.words


def test_what_lies_before_and_after_a_break_is_verified_as_ever() -> None:
    after = [*BROKEN, Checkpoint(5, 10, NEW[9][0].hash, BEGAN)]
    assert found(NEW, after) == []
    for number in (2, 5, 7, 9):
        changed = [(batch, list(rows)) for batch, rows in NEW]
        changed[number - 1][1][0] = replace(changed[number - 1][1][0], body="{}")
        assert found(changed, after) == [(Tampering.CHANGED, number)]
    assert found(NEW[:9], after) == [(Tampering.TRUNCATED, 10)]
    assert found(restored(OLD, 2, 11), after)[0] == (Tampering.RECHAINED, 1)  # also before what was agreed


def test_a_second_restore_is_a_break_of_its_own() -> None:
    lines = [*BROKEN, Checkpoint(5, 10, NEW[9][0].hash, BEGAN)]
    again = restored(NEW, 8, 12, "-and-again")
    assert found(again, lines) == [(Tampering.RECHAINED, 8)]
    verdict = verify_chain(again, accepted(lines, end(NEW, 7), end(again, 12)))
    assert verdict.intact and [each.lost.number for each in verdict.breaks] == [9, 10]


def test_a_restore_from_before_the_first_break_breaks_that_as_well() -> None:
    lines = [*BROKEN, Checkpoint(5, 10, NEW[9][0].hash, BEGAN)]
    again = restored(OLD, 4, 5)
    assert verify_chain(again, accepted(lines, end(OLD, 3), end(again, 5))).intact
    back = list(chain(9))  # the copy that was thought lost is found and put back
    assert verify_chain(back, accepted(lines, end(OLD, 3), end(back, 9))).intact


def test_a_ledger_of_which_nothing_was_left_may_begin_again() -> None:
    again = restored(OLD, 0, 3)
    verdict = verify_chain(again, accepted(LINES, NOTHING, NOTHING))
    assert verdict.intact and verdict.breaks[0].agreed == NOTHING


SAID = standing(BROKEN).breaks[0]
FORGED = {
    "another lost end": replace(SAID, lost=End(9, "f" * 64)),
    "a lost end that is not the last": replace(SAID, lost=end(OLD, 6)),
    "an agreed end that nobody signed": replace(SAID, agreed=End(3, "f" * 64)),
    "agreed in between": replace(SAID, agreed=end(OLD, 4)),
    "agreed with what is lost": replace(SAID, agreed=end(OLD, 9)),
    "kept before it agreed": replace(SAID, kept=End(2, "f" * 64)),
}


@pytest.mark.parametrize("what", FORGED)
def test_a_break_that_does_not_name_these_ends_excuses_nothing(what: str) -> None:
    lines = [*LINES, replace(BROKEN[-1], accepted=FORGED[what])]
    stand = standing(lines)
    assert stand.breaks == [] and [each.what for each in stand.findings] == [Tampering.BREAK_FORGED]
    seen = {each for each, _ in found(NEW, lines)}
    assert {Tampering.BREAK_FORGED, Tampering.RECHAINED} <= seen


def test_a_break_before_any_checkpoint_excuses_nothing() -> None:
    said = AcceptedBreak(NOTHING, NOTHING, end(OLD, 9), "olga", "disk lost", BEGAN, "record")
    line = Checkpoint(1, 9, OLD[8][0].hash, BEGAN, accepted=said)
    assert found(OLD, [line]) == [(Tampering.BREAK_FORGED, 9)]


def test_a_break_where_there_is_none_is_found() -> None:
    lines = accepted(LINES, end(OLD, 6), end(OLD, 9))
    assert found(OLD, lines) == [(Tampering.BREAK_FORGED, 9)]


def test_a_break_with_a_wrong_signature_excuses_nothing() -> None:
    lines = [*LINES, replace(BROKEN[-1], valid=False)]
    assert {each for each, _ in found(NEW, lines)} == {Tampering.CHECKPOINT_FORGED, Tampering.RECHAINED}


def test_a_break_excuses_no_more_than_what_is_lost() -> None:
    lines = accepted(LINES, NOTHING, end(NEW, 7))
    assert found(NEW, lines) == [(Tampering.BREAK_FORGED, 3)]


def test_a_copy_from_before_a_break_leaves_that_break_behind_too() -> None:
    """The first restore ended just at a checkpoint, and the chain that was thought lost comes back."""
    at_six = restored(OLD, 6, 6)
    lines = [*accepted(LINES, end(OLD, 6), end(OLD, 6)), Checkpoint(5, 8, link(8, "f" * 64)[0].hash, BEGAN)]
    assert found(at_six, lines[:4]) == []
    assert found(OLD, lines)
    assert found(OLD, accepted(lines, end(OLD, 6), end(OLD, 9))) == []


def test_another_kept_end_than_the_chain_has_is_found() -> None:
    lines = accepted(LINES, end(OLD, 3), End(7, "f" * 64))
    assert found(NEW, lines) == [(Tampering.RECHAINED, 4)]
