"""The rules over what the pipeline itself writes, without the library that checks them: name -> rule in words."""

from __future__ import annotations

from typing import Literal

from pipeline_project.domain.vectors.modalities import MODALITIES
from pipeline_project.spec.workflow import WorkflowSpec

AssetName = Literal["embeddings", "scores", "decisions"]

#: How far a row of probabilities may be from one.
SUM_TOLERANCE = 1e-6

_EVERY_TABLE = {"case_id_has_value": "every row names its case", "case_id_once": "every case has one row"}


def output_rules(spec: WorkflowSpec, asset_name: AssetName) -> dict[str, str]:
    """The rules over one of the tables, in a fixed order."""
    return _EVERY_TABLE | {"embeddings": _embeddings, "scores": _scores, "decisions": _decisions}[asset_name](spec)


def _embeddings(spec: WorkflowSpec) -> dict[str, str]:
    kinds = [MODALITIES[name].vector_column for name in spec.encoders]
    return {f"{kind}_unit_length": f"{kind} is finite and of unit length where there is one" for kind in kinds}


def _scores(spec: WorkflowSpec) -> dict[str, str]:
    count = len(spec.labels)
    return {
        "probabilities_complete": f"there are {count} finite values in [0, 1], or a problem instead",
        "probabilities_sum_to_one": f"probabilities sum to one within {SUM_TOLERANCE}",
    }


def _decisions(spec: WorkflowSpec) -> dict[str, str]:
    return {
        "option_known": "what the policy says is an option of the spec, or ask_person",
        "case_admitted": "every decision is about an admitted case of the night",
        "row_count": "every admitted case is decided",
    }
