"""Contracts as Great Expectations suites: over what comes in and over what the pipeline writes."""
