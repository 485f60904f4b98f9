"""`python -m benchmarks.chaos.audit`: tampers with an audit chain, one way at a time, and asks whether it was found.

The verdict counts what is older than the last checkpoint: all of it must be found. What the check may not do is find
something where nothing was done. `--without checkpoints` takes the signed checkpoints out: the suite must then fail.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

from sqlalchemy import Connection, text

from benchmarks.chaos.tampering import IN_DATABASE, IN_FILE, Bench
from benchmarks.chaos.verdicts import Seen, tell
from pipeline_project.domain.audit.findings import Checkpoint, Tampering
from resources.keys.checkpoint_key import signing_key
from resources.ledger.audit.chain import append
from resources.ledger.audit.checkpoint_file import FILE
from resources.ledger.audit.checkpoints import Checkpoints
from resources.ledger.audit.facts import Fact
from resources.ledger.audit.trail import Checked, check
from resources.ledger.nights.ledger import PostgresLedger
from resources.postgres.databases import engine_of

WORKFLOW, SPEC = "returns", "5" * 64


@dataclass(frozen=True)
class Counted:
    """One way of tampering.

    Attributes:
        found: how often anything was found; named: how often it was called by its name.
        missed: seeds of those that were not found.
    """

    what: Tampering
    times: int
    found: int
    named: int
    missed: Sequence[int]


def write_chain(url: str, folder: Path, keys: Path, batches: int = 24, rows: int = 12, seed: int = 7) -> Checkpoints:
    """A ledger with decisions and their chain: three checkpoints on the way, a fifth of the batches after the last."""
    random, signer = Random(seed), Checkpoints(url, str(folder), keys)
    PostgresLedger(url).record_workflow(WORKFLOW, SPEC, {"name": WORKFLOW})
    signed = {batches // 4, batches // 2, batches * 4 // 5}
    for number in range(1, batches + 1):
        with engine_of(url).begin() as connection:
            # a made-up chain needs no nights whose checks have passed
            connection.execute(text("SET LOCAL session_replication_role = replica"))
            decided = [_decision(random, f"C-{number:04}-{i:04}") for i in range(random.randint(3, rows))]
            connection.execute(text(_INSERT), [{**row, "data_versions": '{"cases": 3}'} for row in decided])
            append(connection, "decisions", WORKFLOW, [Fact("decisions", row) for row in decided])
        if number in signed:
            signer.checkpoint()
    return signer


_INSERT = (
    "INSERT INTO decisions (workflow, case_id, epoch, night, option, reason, spec_hash, data_versions, amount, "
    "attempt, run_id, made_by) VALUES (:workflow, :case_id, :epoch, :night, :option, :reason, :spec_hash, "
    ":data_versions, :amount, :attempt, :run_id, :made_by)"
)


def _decision(random: Random, case: str) -> dict[str, object]:
    return {
        "workflow": WORKFLOW,
        "case_id": case,
        "epoch": 1,
        "night": f"2026-01-{random.randint(1, 28):02}",
        "option": random.choice(["refund", "restock", "ask_person"]),
        "reason": "cheapest",
        "spec_hash": SPEC,
        "data_versions": {"cases": 3},
        "amount": round(random.uniform(1, 400), 2),
        "attempt": 1,
        "run_id": "r",
        "made_by": "policy",
    }


@contextmanager
def _undone(url: str) -> Iterator[Connection]:
    """A connection without triggers and rules, whose transaction is rolled back."""
    with engine_of(url).connect() as connection:
        connection.execute(text("SET session_replication_role = replica"))
        for table, rule in (("audit_batches", "first_follows_nothing"), ("decisions", "made_by_policy_or_person")):
            connection.execute(text(f"ALTER TABLE {table} DROP CONSTRAINT ck_{table}_{rule}"))
        yield connection
        connection.rollback()


def tampered(url: str, signer: Checkpoints, what: Tampering, seed: int, checkpoints: Sequence[Checkpoint]) -> Checked:
    """What a check says after one act of tampering, of which nothing is left afterwards."""
    random = Random(seed)
    if what in IN_FILE:
        return _tampered_file(url, signer, what, random)
    with _undone(url) as connection:
        IN_DATABASE[what](Bench(connection, random, signer.read()[-1].number))
        return check(connection, checkpoints)


def _tampered_file(url: str, signer: Checkpoints, what: Tampering, random: Random) -> Checked:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    lines = (Path(signer.place) / FILE).read_bytes().splitlines()
    with tempfile.TemporaryDirectory() as name, engine_of(url).connect() as connection:
        own = what is Tampering.BREAK_FORGED
        key = signing_key(signer.keys) if own else Ed25519PrivateKey.generate()
        left = IN_FILE[what](lines, random, key)
        (Path(name) / FILE).write_bytes(b"".join(line + b"\n" for line in left))
        return check(connection, Checkpoints(url, name, signer.keys).read())


def run(
    url: str, signer: Checkpoints, kinds: Sequence[Tampering], times: int, seed: int, signed: bool = True
) -> list[Counted]:
    """Tampers `times` times in each way; seeds seed, seed + 1 ... repeat one exactly."""
    checkpoints = signer.read() if signed else []
    counted = []
    for what in kinds:
        found = named = 0
        missed = []
        for each in range(seed, seed + times):
            # a chain that has no checkpoints left is told from one that lost them by its own rows about them
            seen = [one.what for one in tampered(url, signer, what, each, checkpoints).verdict.findings]
            seen = [one for one in seen if signed or one is not Tampering.CHECKPOINT_REMOVED]
            found, named = found + bool(seen), named + (what in seen)
            missed += [] if seen else [each]
        counted.append(Counted(what, times, found, named, missed))
    return counted


def main() -> int:
    from resources.ledger.migrate import upgrade
    from resources.postgres.embedded import EmbeddedServer

    given = _arguments()
    with tempfile.TemporaryDirectory(prefix="pipeline-chaos-") as name:
        home = Path(name)
        server = EmbeddedServer(home / "postgres")
        try:
            server.start()
            url = server.superuser_url  # who tampers here may put triggers to sleep
            upgrade(url)
            signer = write_chain(url, home / "checkpoints", home / "keys", seed=given.seed)
            with engine_of(url).connect() as connection:
                untouched = check(connection, signer.read()).verdict
            counted = run(url, signer, list(Tampering), given.times, given.seed, given.without != "checkpoints")
        finally:
            server.stop()
    print(f"## Audit tampering, {len(counted)} kinds x {given.times}, seeds from {given.seed}\n")
    print(f"Untouched: {len(untouched.findings)} findings. {untouched.words}\n")
    print("| kind | times | found | called by its name | seeds missed |\n|---|---:|---:|---:|---|")
    for each in counted:
        missed = ", ".join(map(str, each.missed[:8])) or "-"
        print(f"| {each.what} | {each.times} | {each.found} | {each.named} | {missed} |")
    whole = untouched.intact and all(each.found == each.times for each in counted)
    print(f"\n{'All found.' if whole else 'NOT all found.'}")
    tried, found = sum(each.times for each in counted), sum(each.found for each in counted)
    words = f"{found:,} of {tried:,} found, {len(counted)} kinds, {len(untouched.findings)} findings untouched"
    return tell(Seen(whole, words, tried, silent=tried - found))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos.audit", description=__doc__)
    parser.add_argument("--times", type=int, default=100, help="of each kind (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=7, help="the first seed (default: %(default)s)")
    parser.add_argument("--without", choices=["checkpoints"], help="take this protection out")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
