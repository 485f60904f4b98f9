"""What the project knows, as plain functions over plain values: no Dagster, no database, no file, no clock.

Packages only. They import downwards, in the order reporting, lifecycle, review, delivery, deciding, models, measures,
features, clusters, vectors, intake, privacy, audit, core; import-linter keeps it so.
"""
