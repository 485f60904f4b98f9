"""Tags of Dagster's runs that more than one part of the house reads."""

from __future__ import annotations

#: Who started a run; what it trains, that person may not sign.
STARTED_BY = "pipeline/started_by"
#: The process of the command that runs it.
PROCESS = "pipeline/process"
#: Whose run it is; runs of the house itself have none.
TENANT = "pipeline/tenant"
