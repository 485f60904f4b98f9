"""Tags of Dagster's runs that more than one part of the house reads."""

from __future__ import annotations

from collections.abc import Mapping

#: Who started a run; what it trains, that person may not sign.
STARTED_BY = "pipeline/started_by"
#: The process of the command that runs it.
PROCESS = "pipeline/process"
#: The version of the code that executes it, or executed the run that it goes on with.
CODE = "pipeline/code"
#: How often the process of a run, and of the runs that it goes on with, was killed for memory, as far as anybody saw.
KILLED = "pipeline/killed"
#: Whose run it is; runs of the house itself have none.
TENANT = "pipeline/tenant"


def times_killed(tags: Mapping[str, str]) -> int:
    """How often the process of a run, and of those that it goes on with, was killed."""
    count = tags.get(KILLED, "0")
    return int(count) if count.isdecimal() else 0


def memory_words(killed: int) -> str:
    """What a run says, or its alert, whose process was killed for the so-manieth time; nothing of one that was not."""
    if killed == 0:
        return ""
    size = {0: "whole batches", 1: "half batches"}.get(killed - 1, f"1/{2 ** (killed - 1)} of a batch")
    return (
        f"its process was killed (exit code 137), by hand or by the kernel for the memory that it took, with {size}; "
        "give the machine more memory, let fewer runs work at once (`pipeline worker --slots`), or lower "
        "`tokens_per_batch`, `batch` or `max_pixels` of the workflow"
    )
