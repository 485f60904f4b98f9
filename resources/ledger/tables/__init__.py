"""The ledger's tables, as SQLAlchemy knows them; `migrations/` makes them, a test compares the two."""
