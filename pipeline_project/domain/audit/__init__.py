"""The chain of facts as arithmetic: one spelling, hashes, proofs, and what a check of it can find."""
