"""What other systems post: kept once and sealed, and read as part of the workflow's own sources."""
