"""Runs migrations on the engine that `connector.store.database` hands over."""

from __future__ import annotations

from alembic import context

from connector.store.models import Base


def run() -> None:
    """Upgrade or downgrade in one transaction, so that a killed migration leaves nothing behind."""
    engine = context.config.attributes["engine"]
    with engine.connect() as connection:
        context.configure(connection=connection, target_metadata=Base.metadata, compare_server_default=False)
        with context.begin_transaction():
            context.run_migrations()


run()
