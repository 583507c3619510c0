"""What strangers may send, as strategies: for the tests of receivers and routes, and for `python -m tests.fuzz`."""

from __future__ import annotations

import orjson
from hypothesis import strategies as st

HEADERS = st.dictionaries(
    st.sampled_from(
        [
            "Content-Type",
            "X-HubSpot-Signature-v3",
            "X-HubSpot-Request-Timestamp",
            "X-HubSpot-Signature",
            "X-HubSpot-Signature-Version",
        ]
    ),
    st.sampled_from(["", "v1", "v2", "0", "1790000000000", "application/json", "a; charset=utf-16", "\xff"])
    | st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=30),
)
ODD = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
    | st.sampled_from(["1", "0", "-1", "undefined", "1\x00", "9" * 40, "object.merge", "deal.associationChange",
                       "DEAL_TO_CONTACT", "userId:", "0-3", "INTEGRATION", "٣"])
)  # fmt: skip
NESTED = st.recursive(
    ODD, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
)
EVENTS = st.lists(
    st.dictionaries(
        st.sampled_from(
            ["portalId", "appId", "subscriptionType", "eventType", "objectId", "objectTypeId", "propertyName",
             "sourceId", "propertyValue", "changeSource", "occurredAt", "primaryObjectId", "mergedObjectIds",
             "newObjectId", "associationType", "fromObjectId", "toObjectId", "fromObjectTypeId", "toObjectTypeId"]
        ),
        NESTED,
    )
    | NESTED,
    max_size=4,
)  # fmt: skip
PARTS = st.sampled_from(
    ["", "0", "1", "id", "type", "leads", "contacts", "task", "account", "add", "update", "delete", "status", "data",
     "FIELDS", "ID", "auth", "member_id", "application_token", "event", "ts", "document_id", "2", "event_token",
     "CLEAN"]
)  # fmt: skip
PAIRS = st.lists(st.tuples(st.lists(PARTS, min_size=1, max_size=6), ODD.map(str)), max_size=12)


def form(pairs: list[tuple[list[str], str]]) -> bytes:
    def escaped(text: str) -> str:
        return "".join(f"%{byte:02X}" for byte in text.encode("utf-8", "replace"))

    return "&".join(
        key[0] + "".join(f"[{part}]" for part in key[1:]) + f"={escaped(value)}" for key, value in pairs
    ).encode()


def jsonable(value: object) -> bytes:
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:  # integers beyond 64 bits and the like
        return repr(value).encode("utf-8", "replace")


BODIES = st.binary(max_size=200) | PAIRS.map(form) | EVENTS.map(jsonable) | NESTED.map(jsonable)

NAMES = (
    "code",
    "state",
    "referer",
    "client_id",
    "error",
    "from_widget",
    "account_id",
    "client_uuid",
    "signature",
    "DOMAIN",
    "LANG",
    "member_id",
    "AUTH_ID",
    "REFRESH_ID",
    "AUTH_EXPIRES",
    "SERVER_ENDPOINT",
    "event",
    "auth[member_id]",
    "auth[application_token]",
    "auth[access_token]",
    "data[CLEAN]",
)
PRETTY = st.sampled_from(
    [
        "ONAPPINSTALL",
        "ONAPPUNINSTALL",
        "ONAPPUPDATE",
        "1",
        "3600",
        "x.bitrix24.ru",
        "shop.amocrm.ru",
        "https://oauth.bitrix.info/rest/",
        "\x00",
        "😀",
        "{}{0}",
        "%ff",
        "a" * 3000,
    ]
)
QUERY = st.lists(st.tuples(st.sampled_from(NAMES), PRETTY | st.text(max_size=40)), max_size=12)
DEEP = st.integers(1, 5000).map(lambda depth: b"[" * depth) | st.integers(1, 500).map(
    lambda n: b"a" + b"[b]" * n + b"=1"
)
"""Nested beyond what anybody sends."""
ENCODED = st.sampled_from(["utf-16", "utf-7", "koi8-r", "cp1251", "utf-8-sig"]).flatmap(
    lambda name: st.text(max_size=40).map(lambda text: text.encode(name, "ignore"))
)
LARGE = st.sampled_from([70_000, 300_000, 5_000_000]).map(lambda size: b"a=" + b"b" * size)
