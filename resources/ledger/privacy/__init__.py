"""Subjects' keys, forgetting, legal holds."""
