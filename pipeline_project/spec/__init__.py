"""The workflow spec: one YAML file, read into pydantic models. No Dagster, no resources."""

from pipeline_project.spec.model import WorkflowSpec

__all__ = ["WorkflowSpec"]
