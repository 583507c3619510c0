"""Every address answers with what its description says, and with nothing of another portal."""

from __future__ import annotations

import pytest

OF_PORTAL = (
    "",
    "/settings",
    "/work",
    "/managers",
    "/teams",
    "/segments",
    "/segments?as_of=2026-10-01",
    "/moves?from=2026-10-01&to=2026-11-24",
    "/customers",
    "/customers/contact:3",
    "/customers/contact:3/explanation",
    "/customers/contact:3/history",
    "/customers/contact:3/card",
    "/runs",
    "/runs/r1",
    "/runs/r1/records",
    "/tasks",
    "/refused",
    "/unread",
    "/report",
    "/alerts",
    "/audit",
    "/requests",
    "/methods",
    "/methods/sales5@1",
    "/methods/sales5@1/diff?other=sales5@1",
    "/methods/stability",
    "/quality",
    "/tokens",
)


@pytest.mark.parametrize("path", OF_PORTAL)
def test_every_list_and_view_answers(north, path):
    answer = north.get(f"/portals/north{path}")
    assert answer.status_code == 200, answer.text
    assert answer.is_json


@pytest.mark.parametrize("path", OF_PORTAL)
def test_a_token_of_one_portal_sees_nothing_of_another(north, path):
    answer = north.get(f"/portals/south{path}")
    assert answer.status_code == 404
    assert answer.json["detail"] == "there is no such portal"
