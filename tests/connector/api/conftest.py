"""Every CRM's sandbox beside our application."""

from __future__ import annotations

import pytest

from adapters.records import CRM
from connector.api import hooks
from tests.connector.api.bench import bench


@pytest.fixture(autouse=True)
def _nothing_remembered(monkeypatch):
    """Secrets are looked up for each delivery, so that a test sees what is stored."""
    monkeypatch.setattr(hooks, "_KNOWN_S", 0.0)


@pytest.fixture
def hubspot(database, tmp_path):
    with bench(CRM.HUBSPOT, database, tmp_path) as stage:
        yield stage


@pytest.fixture
def amocrm(database, tmp_path):
    with bench(CRM.AMOCRM, database, tmp_path) as stage:
        yield stage


@pytest.fixture
def bitrix24(database, tmp_path):
    with bench(CRM.BITRIX24, database, tmp_path) as stage:
        yield stage


@pytest.fixture(params=list(CRM), ids=str)
def stage(request, database, tmp_path):
    with bench(request.param, database, tmp_path) as opened:
        yield opened
