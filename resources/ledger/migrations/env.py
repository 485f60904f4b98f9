"""What Alembic runs: the steps, on the connection that `resources.ledger.migrate` holds the lock on."""

from __future__ import annotations

from alembic import context

from resources.ledger.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
