"""Whatever is sent: receivers raise nothing but `WebhookError`, the addresses answer nothing above 4xx.

Deliveries here are proven, or the proof would end most of them before anything is read.
"""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.records import CRM
from tests.fuzz.hostile import BODIES, HEADERS, NESTED
from tests.webhooks.factories import (
    KNOWN,
    MEMBER,
    NOW,
    PATHS,
    SECRET,
    MemoryInbox,
    application,
    delivery,
    signed_headers,
    token,
)
from webhooks import amocrm, signatures
from webhooks.deliveries import Endpoint, Secrets
from webhooks.errors import WebhookError
from webhooks.registry import RECEIVERS

PROVEN = {
    CRM.HUBSPOT: b"",
    CRM.BITRIX24: f"&auth[member_id]={MEMBER}&auth[application_token]=TOKEN&event=ONCRMDEALUPDATE".encode(),
    CRM.AMOCRM: b"&account[id]=123",
}


@pytest.mark.parametrize("crm", list(CRM))
@given(body=BODIES, headers=HEADERS, endpoint=st.sampled_from(Endpoint), path=st.text(max_size=30))
def test_receivers_raise_nothing_but_webhook_errors(
    crm: CRM, body: bytes, headers: dict[str, str], endpoint: Endpoint, path: str
) -> None:
    receiver = RECEIVERS[crm]
    secrets = next(known for (of, _), known in KNOWN.items() if of is crm)
    for target in (f"/x?{path}", f"/{path}", PATHS[crm]):
        made = delivery(crm, body, headers=headers, endpoint=endpoint, path=target)
        for read in (
            receiver.address,
            lambda each: receiver.verify(each, secrets, now=NOW),
            receiver.notices,
            receiver.delivery_key,
        ):
            try:
                read(made)
            except WebhookError:
                continue


@pytest.mark.parametrize("crm", list(CRM))
@given(body=BODIES, headers=HEADERS, proven=st.booleans())
def test_addresses_answer_2xx_or_4xx_and_store_only_with_2xx(
    crm: CRM, body: bytes, headers: dict[str, str], proven: bool
) -> None:
    inbox = MemoryInbox()
    if proven and crm is CRM.HUBSPOT:
        headers = {**headers, **signed_headers(body, url="https://app.example.com/webhooks/hubspot")}
    elif proven:
        body += PROVEN[crm]
    answer = application(inbox).test_client().post(PATHS[crm], headers=headers, data=body)
    assert answer.status_code in {200, 400, 403}
    assert len(inbox.kept) == (answer.status_code == 200)


@pytest.mark.parametrize("crm", list(CRM))
@given(body=BODIES)
def test_notices_hold_only_plain_bounded_text(crm: CRM, body: bytes) -> None:
    try:
        notices = RECEIVERS[crm].notices(delivery(crm, body + PROVEN[crm]))
    except WebhookError:
        return
    for notice in notices:
        for text in (notice.external_id, *notice.merged_ids, notice.actor_id or "1"):
            assert text == MEMBER or (text.isascii() and text.isdigit() and int(text) < 2**63)
        name = notice.property_name or ""
        assert name.isascii()
        assert name.isprintable()
        assert len(name) <= 200
        assert notice.occurred_at is None or notice.occurred_at.tzinfo is UTC


@pytest.mark.parametrize("method", ["POST", "HEAD", "GET", "PUT", "OPTIONS"])
@given(secret=st.text(st.characters(exclude_characters="\\", exclude_categories=["Cs"]), min_size=1, max_size=50))
def test_any_path_below_amocrm_is_4xx_or_a_probe(method: str, secret: str) -> None:
    client = application(MemoryInbox()).test_client()
    status = client.open(f"/webhooks/amocrm/{secret.replace('?', '').replace('#', '')}", method=method).status_code
    assert status < 500


@given(st.text(max_size=200) | st.lists(st.text(max_size=20), min_size=3, max_size=3).map(".".join))
def test_any_token_proves_nothing(made: str) -> None:
    secrets = Secrets((SECRET,), client_id="client-uuid", audience="https://app.example.com")
    with pytest.raises(WebhookError):
        amocrm.visitor(made, secrets, now=NOW)


CLAIMS = st.dictionaries(
    st.sampled_from(["exp", "nbf", "aud", "client_uuid", "account_id", "user_id", "is_admin", "jti", "subdomain"]),
    st.just("client-uuid") | st.just("https://app.example.com") | st.just(1_790_000_100) | st.integers(1, 999) | NESTED,
)


@given(CLAIMS)
def test_any_claims_under_a_right_signature_are_read_or_refused(claims: dict[str, object]) -> None:
    secrets = Secrets((SECRET,), client_id="client-uuid", audience="https://app.example.com")
    try:
        visitor = amocrm.visitor(token(claims), secrets, now=NOW)
    except WebhookError:
        return
    assert visitor.account_id.isdigit()


@given(st.text(max_size=40), st.datetimes(timezones=st.just(UTC)))
def test_any_timestamp_is_checked_or_refused(timestamp: str, now: datetime) -> None:
    try:
        signatures.check_hubspot_timestamp(timestamp, now=now)
    except WebhookError:
        return
    assert abs(int(timestamp) / 1000 - now.timestamp()) <= 300
