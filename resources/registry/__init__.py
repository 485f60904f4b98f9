"""MLflow as the registry of models."""
