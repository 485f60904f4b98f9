"""Factories that take a spec and give assets; none may name a workflow. What they compute lives in `domain`."""
