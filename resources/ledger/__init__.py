"""The ledger in PostgreSQL: tables, migrations, roles, and one folder for each kind of fact."""
