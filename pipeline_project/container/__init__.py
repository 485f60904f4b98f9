"""The only place that builds concrete resources from the settings, for Dagster, commands, desk and tests."""
