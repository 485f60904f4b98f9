"""What a check says of chains that live in memory; the database's own are tampered with in tests/resources/audit."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from pipeline_project.domain.audit.chain import GENESIS, ChainBatch, hash_of
from pipeline_project.domain.audit.findings import ChainVerdict, Checkpoint, Tampering
from pipeline_project.domain.audit.merkle import inclusion, leaf_hash, merkle_root
from pipeline_project.domain.audit.proofs import Proof, holds
from pipeline_project.domain.audit.verify import Start, StoredRow, verify_chain, with_rows

BEGAN = datetime(2026, 3, 1, tzinfo=UTC)
Link = tuple[ChainBatch, list[StoredRow]]


def link(number: int, before: str, rows: int = 5, words: str = "") -> Link:
    bodies = [f'{{"case_id":"C-{number}-{i}{words}"}}' for i in range(rows)]
    made = [StoredRow(number, i, leaf_hash(i, body), body) for i, body in enumerate(bodies)]
    root = merkle_root([row.leaf for row in made])
    batch = ChainBatch(number, "decisions", "returns", BEGAN + timedelta(minutes=number), before, root, rows)
    return replace(batch, hash=hash_of(batch)), made


def chain(length: int, rows: int = 5) -> Iterator[Link]:
    before = GENESIS
    for number in range(1, length + 1):
        made = link(number, before, rows)
        before = made[0].hash
        yield made


def signed(links: list[Link], *numbers: int) -> list[Checkpoint]:
    return [
        Checkpoint(line, number, links[number - 1][0].hash, links[number - 1][0].at)
        for line, number in enumerate(numbers, start=1)
    ]


def told(verdict: ChainVerdict) -> list[tuple[Tampering, int, int | None]]:
    return [(each.what, each.batch, each.position) for each in verdict.findings]


def test_an_untouched_chain_is_vouched_for_up_to_its_last_checkpoint() -> None:
    links = list(chain(9))
    verdict = verify_chain(links, signed(links, 3, 7))
    assert verdict.intact
    assert (verdict.batches, verdict.rows, verdict.tip, verdict.tip_hash) == (9, 45, 9, links[-1][0].hash)
    assert verdict.vouched == signed(links, 3, 7)[1]
    assert verdict.words == (
        "Everything up to batch 7, signed 2026-03-01T00:07:00+00:00, is as it was recorded. "
        "The 2 after it are linked but not signed yet."
    )


def test_without_checkpoints_nothing_is_vouched_for() -> None:
    verdict = verify_chain(list(chain(3)), [])
    assert verdict.intact and verdict.vouched is None
    assert "nothing shows that they were not all written anew" in verdict.words


def test_an_empty_chain_is_in_order_unless_one_was_signed() -> None:
    assert verify_chain([], []).intact
    assert told(verify_chain([], signed(list(chain(3)), 2))) == [(Tampering.TRUNCATED, 1, None)]


def test_a_check_can_begin_behind_what_was_checked() -> None:
    links = list(chain(9))
    start = Start(4, links[3][0].hash, links[3][0].at)
    assert verify_chain(links[4:], [], start=start).intact
    assert told(verify_chain(links[4:], [], start=replace(start, hash="f" * 64))) == [(Tampering.RECHAINED, 5, None)]


def _changed(links: list[Link]) -> None:
    links[3][1][2] = replace(links[3][1][2], body="{}")


def _columns(links: list[Link]) -> None:
    links[3][1][2] = replace(links[3][1][2], fits=False)


def _removed_row(links: list[Link]) -> None:
    del links[3][1][2]


def _removed_batch(links: list[Link]) -> None:
    del links[3]


def _reordered(links: list[Link]) -> None:
    rows = links[3][1]
    rows[1], rows[2] = replace(rows[2], position=1), replace(rows[1], position=2)


def _inserted(links: list[Link]) -> None:
    links[3][1].append(StoredRow(4, 5, leaf_hash(5, "{}"), "{}"))


def _moved(links: list[Link]) -> None:
    row = links[3][1].pop(2)
    links[6][1].append(replace(row, batch=7, position=5))


def _swapped(links: list[Link]) -> None:
    one, other = links[3], links[5]
    links[3], links[5] = (replace(other[0], number=4), other[1]), (replace(one[0], number=6), one[1])


def _retimed(links: list[Link]) -> None:
    links[3] = replace(links[3][0], at=BEGAN), links[3][1]


def _rekinded(links: list[Link]) -> None:
    links[3] = replace(links[3][0], kind="answers"), links[3][1]


def _rooted(links: list[Link]) -> None:
    links[3] = link(4, links[3][0].prev_hash, words="x")[0], links[3][1]


@pytest.mark.parametrize(
    ("tamper", "expected"),
    [
        (_changed, (Tampering.CHANGED, 4, 2)),
        (_columns, (Tampering.CHANGED, 4, 2)),
        (_removed_row, (Tampering.REMOVED, 4, 2)),
        (_removed_batch, (Tampering.REMOVED, 4, None)),
        (_reordered, (Tampering.REORDERED, 4, 1)),
        (_inserted, (Tampering.INSERTED, 4, 5)),
        (_moved, (Tampering.MOVED, 4, 2)),
        (_swapped, (Tampering.REORDERED, 4, None)),
        (_retimed, (Tampering.RETIMED, 4, None)),
        (_rekinded, (Tampering.CHANGED, 4, None)),
        (_rooted, (Tampering.CHANGED, 4, None)),
    ],
)
def test_tampering_is_called_by_its_name_and_its_place(
    tamper: Callable[[list[Link]], None], expected: tuple[Tampering, int, int | None]
) -> None:
    links = list(chain(9))
    checkpoints = signed(links, 8)
    tamper(links)
    verdict = verify_chain(links, checkpoints)
    assert told(verdict)[0] == expected
    assert verdict.vouched == checkpoints[0]
    assert "apart from the" in verdict.words


def test_a_chain_cut_at_its_end_is_noticed_by_the_checkpoint_alone() -> None:
    links = list(chain(9))
    assert told(verify_chain(links[:5], signed(links, 4, 8))) == [(Tampering.TRUNCATED, 6, None)]
    assert verify_chain(links[:8], signed(links, 4, 8)).intact


def test_a_chain_written_anew_is_vouched_for_up_to_the_checkpoint_before() -> None:
    links = list(chain(9))
    checkpoints = signed(links, 2, 4, 8, 9)
    before = links[4][0].hash
    for number in range(6, 10):
        links[number - 1] = link(number, before, words="x")
        before = links[number - 1][0].hash
    verdict = verify_chain(links, checkpoints)
    assert [(each.what, each.batch, each.last) for each in verdict.findings] == [(Tampering.RECHAINED, 5, 8)]
    assert verdict.vouched == checkpoints[1]
    assert verify_chain(links, []).intact  # which is what the checkpoints are for


def test_a_row_left_behind_by_its_batch_is_noticed() -> None:
    links = list(chain(3))
    batches = [batch for batch, _ in links if batch.number != 3]
    left: list[int] = []
    pairs = with_rows(batches, (row for _, rows in links for row in rows), lambda row: left.append(row.batch))
    assert [batch.number for batch, _ in pairs] == [1, 2]
    assert left == [3] * 5
    verdict = verify_chain(links[:2], [], orphans=[(3, 5)])
    assert told(verdict) == [(Tampering.INSERTED, 3, None)]


def test_an_invalid_checkpoint_vouches_for_nothing() -> None:
    links = list(chain(3))
    forged = replace(signed(links, 2)[0], valid=False)
    verdict = verify_chain(links, [forged])
    assert told(verdict) == [(Tampering.CHECKPOINT_FORGED, 0, None)]
    assert verdict.vouched is None


def test_memory_does_not_grow_with_the_chain() -> None:
    def peak(length: int) -> int:
        tracemalloc.start()
        assert verify_chain(chain(length, rows=20), []).intact
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    tracemalloc.start()
    held = list(chain(400, rows=20))
    whole, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(held) == 400
    peak(5)
    # what the longer chain holds more is not held at once; the bytes themselves differ from one build to another
    assert peak(400) - peak(40) < 0.1 * whole


# -- proofs ----------------------------------------------------------------------------------------------------------


def test_a_proof_leads_from_a_fact_to_a_checkpoint() -> None:
    links = list(chain(6))
    rows = links[2][1]
    path = inclusion([row.leaf for row in rows], 3)
    batches = [batch for batch, _ in links[2:5]]
    proof = Proof(rows[3].body, path, batches, signed(links, 5)[0])
    assert holds(proof)
    assert holds(replace(proof, checkpoint=None))
    assert not holds(replace(proof, body="{}"))
    assert not holds(replace(proof, path=replace(path, position=2)))
    assert not holds(replace(proof, path=replace(path, count=6)))
    assert not holds(replace(proof, links=[batches[0], batches[2]]))
    assert not holds(replace(proof, links=[batches[0], replace(batches[1], count=9), batches[2]]))
    assert not holds(replace(proof, checkpoint=signed(links, 6)[0]))
    assert not holds(replace(proof, links=[]))
