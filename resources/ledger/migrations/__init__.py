"""The ledger's schema, step by step; `resources.ledger.migrate` runs it."""
