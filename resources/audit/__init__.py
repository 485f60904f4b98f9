"""The audit chain in the database, its signed checkpoints, and the doors to search and check it."""
