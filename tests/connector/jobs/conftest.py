"""The queue is emptied with the rest of the database."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from connector.store.database import Database


@pytest.fixture
def queue(database: Database) -> Database:
    """The connector's database with an empty queue and no worker."""
    with database.session() as session:
        session.execute(text("DELETE FROM procrastinate_jobs; DELETE FROM procrastinate_workers"))
    return database
