"""A client of the pages on the tests' database, with a clock that stands still."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from connector.app import create_app
from connector.config import Config
from connector.store.database import Database
from tests.connector.web.shop import NOW


@pytest.fixture
def app(database: Database, tmp_path: Path) -> Iterator[Flask]:
    made = create_app(Config(database_url=database.url, var_dir=tmp_path), clock=lambda: NOW)
    yield made
    made.extensions["pages"].database().close()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()
