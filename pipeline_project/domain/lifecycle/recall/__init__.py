"""Decisions taken back: which are touched, what would be decided instead, on which rows."""
