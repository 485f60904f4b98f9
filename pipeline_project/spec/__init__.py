"""The workflow spec: one YAML file, read into pydantic models. No Dagster, no resources."""

from pipeline_project.spec.load import InvalidSpec, Loaded, Mistake, check_file, load_all, load_spec
from pipeline_project.spec.workflow import WorkflowSpec

__all__ = ["InvalidSpec", "Loaded", "Mistake", "WorkflowSpec", "check_file", "load_all", "load_spec"]
