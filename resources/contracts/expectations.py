"""Great Expectations, reduced to what contracts need: run named rules over a frame, get the rows that break them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import pandas as pd

from pipeline_project.domain.intake.admission import NOT_EVALUATED
from pipeline_project.domain.intake.expectation import Expectation

if TYPE_CHECKING:
    from great_expectations.core.batch_definition import BatchDefinition
    from great_expectations.data_context.data_context.ephemeral_data_context import EphemeralDataContext
    from great_expectations.expectations.expectation import Expectation as GxExpectation

# Every failing row, by its number; its values are left out, since they would carry names of persons into results.
_RESULT_FORMAT = {
    "result_format": "COMPLETE",
    "exclude_unexpected_values": True,
    "partial_unexpected_count": 0,
    "return_unexpected_index_query": False,
}


def run(
    frame: pd.DataFrame, wanted: Mapping[str, GxExpectation], described: Mapping[str, tuple[str | None, str]]
) -> dict[str, Expectation]:
    """Each rule's verdict over a frame whose index counts its rows.

    Args:
        wanted: by name; the columns they read must be there.
        described: name -> (column, rule in words).
    """
    import great_expectations as gx

    for name, rule in wanted.items():
        rule.meta = {"name": name}
    suite = gx.ExpectationSuite(name="contract", expectations=list(wanted.values()))
    batch = _frames().get_batch({"dataframe": frame})
    validation = batch.validate(suite, result_format=_RESULT_FORMAT)
    # Great Expectations answers in an order of its own.
    results = {_name_of(result): result for result in validation.results}
    return {name: _verdict(name, *described[name], results[name], len(frame)) for name in wanted}


def expectation(kind: str, **arguments: Any) -> GxExpectation:
    """An expectation of Great Expectations, by the name of its class."""
    import great_expectations.expectations as gxe

    return getattr(gxe, kind)(**arguments)


def true(column: str) -> GxExpectation:
    """A bool column that must be true wherever it has a value."""
    return expectation("ExpectColumnValuesToBeInSet", column=column, value_set=[True])


def _verdict(name: str, column: str | None, rule: str, result: Any, rows: int) -> Expectation:
    raised = [exception for exception in _exceptions(result.exception_info) if exception]
    if raised:
        detail = f"the rule {NOT_EVALUATED} ({raised[0]}); correct it in the spec's `contract` or `fields`"
        return Expectation(name, column, rule, passed=False, evaluated=0, systemic=True, detail=detail)
    failed = tuple(int(row) for row in result.result.get("unexpected_index_list") or ())
    return Expectation(name, column, rule, passed=bool(result.success), evaluated=rows, failed=failed)


def _name_of(result: Any) -> str:
    return str(result.expectation_config.meta["name"])


def _exceptions(info: Mapping[str, Any]) -> list[str]:
    """The kinds of exceptions raised; their messages may quote cells and are left out."""
    parts = [info] if "raised_exception" in info else [part for part in info.values() if isinstance(part, Mapping)]
    traces = [str(part.get("exception_traceback") or "unknown") for part in parts if part.get("raised_exception")]
    return [trace.strip().rpartition("\n")[2].partition(":")[0] for trace in traces]


@lru_cache(maxsize=1)
def context() -> EphemeralDataContext:
    """Great Expectations' own state, in memory, made once per process, with telemetry and progress bars off."""
    # Both switches that its documentation names: the variable for what happens before there is a context.
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    made = gx.get_context(mode="ephemeral")
    made.enable_analytics(False)
    made.variables.progress_bars = ProgressBarsConfig(globally=False, metric_calculations=False)
    return made


@lru_cache(maxsize=1)
def _frames() -> BatchDefinition:
    source = context().data_sources.add_pandas("frames")
    return source.add_dataframe_asset("frame").add_batch_definition_whole_dataframe("whole")
