"""Tags of Dagster's runs that more than one part of the house reads."""

from __future__ import annotations

#: Who started a run; what it trains, that person may not sign.
STARTED_BY = "pipeline/started_by"
#: The process of the command that runs it.
PROCESS = "pipeline/process"
#: The version of the code that executes it, or executed the run that it goes on with.
CODE = "pipeline/code"
#: How often the process of a run, and of the runs that it goes on with, was killed for memory, as far as anybody saw.
KILLED = "pipeline/killed"
