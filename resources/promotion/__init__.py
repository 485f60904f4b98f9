"""Proposals, signatures and who decides: the governed side of models."""
