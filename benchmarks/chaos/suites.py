"""The suites of `make chaos`, with their sizes: whole in half an hour of two idle cores, quick in under eight minutes.

Each module takes larger sizes by its arguments; these are what a change can wait for.
"""

from __future__ import annotations

from benchmarks.chaos.driver import Control, Suite

_FEW_ACTIONS = ["--actions", "120", "--kills", "3", "--faults", "0.3"]

SUITES = (
    Suite(
        "actions",
        "actions at 30 % faults while dispatchers are killed: each effect once in the shop's book",
        "benchmarks.chaos.actions",
        ["--actions", "1500", "--kills", "20", "--faults", "0.3"],
        _FEW_ACTIONS,
        [
            Control("keys", _FEW_ACTIONS),
            Control("unknown", _FEW_ACTIONS),
            # only a shop that remembers no key has to be asked
            Control("look_up", [*_FEW_ACTIONS, "--forgetful"]),
            Control("release", _FEW_ACTIONS),
        ],
    ),
    Suite(
        "photos",
        "malformed photos in every place that opens one: shown or refused in words",
        "benchmarks.chaos.photos",
        ["--times", "10"],
        ["--times", "5"],
        [Control("formats")],
    ),
    Suite(
        "posted",
        "poison in what other systems post: refused in words or kept and read, and all that is whole is admitted",
        "benchmarks.chaos.posted",
        ["--times", "4"],
        ["--times", "1"],
        [Control("digests")],
    ),
    Suite(
        "poison",
        "rows that nobody can understand in the outbox and the queue of tasks: a person sees each, all else goes on",
        "benchmarks.chaos.poison",
        ["--times", "4"],
        ["--times", "1"],
        [Control("comparison")],
    ),
    Suite(
        "clock",
        "the database's clock jumps by hours while dispatchers send: each effect once",
        "benchmarks.chaos.clock",
        ["--times", "60"],
        ["--times", "10"],
        [Control("keys", ["--times", "20"])],
    ),
    Suite(
        "columns",
        "every column that the audit chain holds changed, emptied, made unreadable; rows removed, inserted: all found",
        "benchmarks.chaos.columns",
        ["--times", "3"],
        ["--times", "1"],
        [Control("comparison", ["--times", "1"])],
    ),
    Suite(
        "destinations",
        "destinations that drip, never end, redirect, break off, or whose certificate is over: no try outlasts its "
        "promise, none is called done without a word of success",
        "benchmarks.chaos.destinations",
        ["--times", "5"],
        ["--times", "1"],
        [Control("deadline"), Control("redirects")],
    ),
    Suite(
        "lakefiles",
        "files of the lake deleted, emptied, cut off, flipped, swapped: the rows that were written, or an error",
        "benchmarks.chaos.lakefiles",
        ["--times", "4"],
        ["--times", "2"],
        [Control("checksums")],
    ),
    Suite(
        "specs",
        "hostile workflow files, some of them valid: refused in words or loaded, soon and in little memory",
        "benchmarks.chaos.specs",
        ["--times", "2"],
        ["--times", "1"],
        [Control("bounds", ["--times", "2"])],
    ),
    Suite(
        "audit",
        "tampering, every kind many times: all found that are older than the checkpoint",
        "benchmarks.chaos.audit",
        ["--times", "5"],
        ["--times", "1"],
        [Control("checkpoints", ["--times", "1"])],
    ),
    Suite(
        "full",
        "a disk without room under lake, reports and ledger: nothing torn, and with room again the work goes through",
        "benchmarks.chaos.full",
        ["--times", "4"],
        ["--times", "2"],
        [Control("atomic", ["--times", "4"])],
    ),
    Suite(
        "reviews",
        "8 reviewers racing over one queue: 0 double, 0 lost",
        "benchmarks.chaos.reviews",
        ["--tasks", "600", "--rounds", "1"],
        ["--tasks", "150", "--rounds", "1"],
        [Control("claims")],
    ),
    Suite(
        "throughput",
        "8 workers claim and settle in batches: at least five times as many actions a second as one by one",
        "benchmarks.chaos.throughput",
        ["--actions", "8000"],
        ["--actions", "4000"],
        [Control("batches", ["--actions", "800"])],
    ),
    Suite(
        "kills",
        "kill -9 at statements and commits of every operation, one in eight of them: identical end state",
        "benchmarks.chaos.kills",
        ["--stride", "8"],
        ["--only", "released", "--stride", "2"],
        [Control("transactions", ["--only", "a night is decided", "--stride", "5"])],
        seconds=3600,
    ),
    Suite(
        "database",
        "sessions cut off, the server restarted and killed in the middle of operations: identical end state",
        "benchmarks.chaos.database",
        ["--times", "1"],
        ["--times", "1"],
        [Control("transactions")],
    ),
    Suite(
        "nights",
        "a backfill killed in each of its nights: identical end state",
        "benchmarks.chaos.nights",
        ["--nights", "3", "--kills", "1"],
        ["--nights", "1", "--kills", "2"],
        [Control("transactions", ["--nights", "1", "--kills", "1", "--point", "actions inserted, tasks not"])],
        seconds=3600,
    ),
    Suite(
        "pairs",
        "two processes run the same nights and two dispatchers send, one of them killed now and then: as with one",
        "benchmarks.chaos.pairs",
        ["--times", "1"],
        ["--times", "1"],
        [Control("transactions", ["--times", "1"])],
    ),
    Suite(
        "restore",
        "one store of three restored from an earlier night: it is told, and nothing happens twice",
        "benchmarks.chaos.restore",
        ["--times", "1"],
        ["--times", "1"],
        [Control("keys", ["--times", "2"])],
    ),
    Suite(
        "launches",
        "a blocked night launched over the UI's API in each selection of assets that could pay: nothing comes of it",
        "benchmarks.chaos.launches",
        ["--times", "1"],
        # `pipeline up` alone takes minutes of two processors
        None,
        [Control("verdicts")],
        seconds=3600,
    ),
    Suite(
        "services",
        "`pipeline up` with its webserver, its daemon, all that runs nights or everything killed in mid-night, and "
        "with two daemons: each night is decided and delivered as in a calm house",
        "benchmarks.chaos.services",
        ["--times", "5"],
        None,
        [Control("monitor", ["--times", "1"])],
        seconds=3600,
    ),
    Suite(
        "hosts",
        "hosts with a network between them: one cut off, the database started anew, the store refusing and slow, the "
        "daemon killed; each night is decided and delivered as on one quiet machine",
        "benchmarks.chaos.hosts",
        ["--workflows", "3", "--nights", "10"],
        None,
        [Control("monitor", ["--workflows", "1", "--nights", "4"])],
        seconds=3600,
    ),
)
