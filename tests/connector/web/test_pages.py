from __future__ import annotations

from tests.connector.web import shop


def test_smoke(client, database):
    with database.session() as session:
        shop.whole_shop(session)
    r = client.get("/")
    assert r.status_code == 200, r.text
    r = client.get("/portals/north")
    assert r.status_code == 200, r.text
