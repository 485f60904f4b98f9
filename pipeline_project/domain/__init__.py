"""What the project exists for, as plain functions over numpy and Arrow: no Dagster, I/O, clock or environment."""
