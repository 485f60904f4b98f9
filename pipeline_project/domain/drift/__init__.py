"""Drift: what a night was like, how far it lies from what the champion learned from, and what follows."""
