"""The audit chain's arithmetic: canonical facts, Merkle trees, linked batches, and what a check of them finds."""
