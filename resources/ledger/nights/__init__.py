"""Decisions, outcomes and all that a night leaves: each statement in its caller's transaction."""
