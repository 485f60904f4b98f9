"""The ledger: facts that must be true exactly once, in PostgreSQL."""
