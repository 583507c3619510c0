"""HubSpot's receiver."""

from __future__ import annotations

from datetime import timedelta

import orjson
import pytest

from adapters.records import CRM
from tests.webhooks.factories import NOW, SECRET, delivery, sample, sampled, signed_headers
from webhooks import hubspot, signatures
from webhooks.deliveries import ChangeNotice, Delivery, Endpoint, Kind, Resource, Secrets
from webhooks.errors import NotAuthentic, Stale, Unreadable

SECRETS = Secrets((SECRET,))
BODY = b'[{"eventId":7,"portalId":101,"objectId":55}]'
URL = "https://app.example.com/webhooks/hubspot"
EVENT = orjson.loads(sample(CRM.HUBSPOT, "property-change")[1])[0]


def signed(body: bytes = BODY, *, drop: str = "", endpoint: Endpoint = Endpoint.EVENTS, **words: object) -> Delivery:
    headers = signed_headers(body, url=URL, **words)  # type: ignore[arg-type]
    return delivery(
        CRM.HUBSPOT, body, headers={k: v for k, v in headers.items() if k.lower() != drop}, endpoint=endpoint
    )


def of(event: object) -> list[ChangeNotice]:
    return hubspot.notices(delivery(CRM.HUBSPOT, orjson.dumps([event])))


def key(*events: object) -> str:
    return hubspot.delivery_key(delivery(CRM.HUBSPOT, orjson.dumps(list(events))))


def test_right_signature_passes() -> None:
    hubspot.verify(signed(), SECRETS, now=NOW)


def test_right_signature_passes_again_since_a_replay_is_folded_by_its_key() -> None:
    first, second = signed(), signed()
    hubspot.verify(first, SECRETS, now=NOW)
    hubspot.verify(second, SECRETS, now=NOW + timedelta(minutes=4))
    assert hubspot.delivery_key(first) == hubspot.delivery_key(second)


@pytest.mark.parametrize("secrets", [("new", SECRET), (SECRET, "old"), ("", SECRET)])
def test_any_secret_passes_during_rotation(secrets: tuple[str, ...]) -> None:
    hubspot.verify(signed(), Secrets(secrets), now=NOW)


@pytest.mark.parametrize("drop", ["x-hubspot-signature-v3", "x-hubspot-request-timestamp"])
def test_missing_header_proves_nothing(drop: str) -> None:
    with pytest.raises(NotAuthentic):
        hubspot.verify(signed(drop=drop), SECRETS, now=NOW)


@pytest.mark.parametrize("secrets", [(), ("",), ("another",)])
def test_missing_or_other_secret_proves_nothing(secrets: tuple[str, ...]) -> None:
    for made in (signed(), signed(secret="")):
        with pytest.raises(NotAuthentic):
            hubspot.verify(made, Secrets(secrets), now=NOW)


@pytest.mark.parametrize("offset", [timedelta(minutes=-5, seconds=-1), timedelta(minutes=5, seconds=1)])
def test_right_signature_of_another_time_is_stale(offset: timedelta) -> None:
    with pytest.raises(Stale):
        hubspot.verify(signed(at=NOW + offset), SECRETS, now=NOW)


def test_signature_covers_method_url_body_and_time() -> None:
    headers = signed_headers(BODY, url=URL)
    later = {**headers, "X-HubSpot-Request-Timestamp": str(int(headers["X-HubSpot-Request-Timestamp"]) + 1)}
    for forged in (
        delivery(CRM.HUBSPOT, BODY, headers=headers, method="PUT"),
        delivery(CRM.HUBSPOT, BODY, headers=headers, path="/webhooks/hubspot?x=1"),
        delivery(CRM.HUBSPOT, BODY + b" ", headers=headers),
        delivery(CRM.HUBSPOT, BODY, headers=later),
        delivery(CRM.HUBSPOT, BODY, headers={**headers, "X-HubSpot-Signature-v3": "é\ud800"}),
    ):
        with pytest.raises(NotAuthentic):
            hubspot.verify(forged, SECRETS, now=NOW)


@pytest.mark.parametrize("version", ["v1", "v2", "v3", ""])
def test_older_signature_alone_is_not_enough_for_events(version: str) -> None:
    older = signatures.hubspot_v1(SECRET, BODY) if version == "v1" else signatures.hubspot_v2(SECRET, "POST", URL, BODY)
    headers = {"X-HubSpot-Signature": older, "X-HubSpot-Signature-Version": version}
    for endpoint in (Endpoint.EVENTS, Endpoint.CARD):
        with pytest.raises(NotAuthentic):
            hubspot.verify(delivery(CRM.HUBSPOT, BODY, headers=headers, endpoint=endpoint), SECRETS, now=NOW)


def action(version: str, signature: str, **headers: str) -> Delivery:
    _, body = sample(CRM.HUBSPOT, "workflow-action")
    proof = {"X-HubSpot-Signature": signature, "X-HubSpot-Signature-Version": version, **headers}
    return delivery(CRM.HUBSPOT, body, headers=proof, endpoint=Endpoint.ACTION)


def test_workflow_action_passes_with_version_2_or_1_of_any_secret() -> None:
    _, body = sample(CRM.HUBSPOT, "workflow-action")
    for secret in (SECRET, "old"):
        for version, proof in (
            ("v2", signatures.hubspot_v2(secret, "POST", URL, body)),
            ("v1", signatures.hubspot_v1(secret, body)),
        ):
            hubspot.verify(action(version, proof), Secrets((SECRET, "old")), now=NOW)


def test_workflow_action_with_a_wrong_proof_proves_nothing() -> None:
    _, body = sample(CRM.HUBSPOT, "workflow-action")
    right = signatures.hubspot_v2(SECRET, "POST", URL, body)
    for forged in (
        action("v2", right[:-1]),
        action("v2", ""),
        action("v1", right),
        action("v4", right),
        action("", right),
        action("v2", signatures.hubspot_v2("", "POST", URL, body)),
        action("v2", right, **{"X-HubSpot-Signature-v3": "wrong", "X-HubSpot-Request-Timestamp": "1790000000000"}),
        action("v2", right, **{"X-HubSpot-Signature-v3": "without a timestamp"}),
    ):
        with pytest.raises(NotAuthentic):
            hubspot.verify(forged, Secrets((SECRET, "")), now=NOW)


def test_workflow_action_is_held_to_version_3_where_it_has_one() -> None:
    hubspot.verify(signed(endpoint=Endpoint.ACTION), SECRETS, now=NOW)
    with pytest.raises(Stale):
        hubspot.verify(signed(endpoint=Endpoint.ACTION, at=NOW - timedelta(hours=1)), SECRETS, now=NOW)


def test_property_change_of_a_deal() -> None:
    assert hubspot.notices(sampled(CRM.HUBSPOT, "property-change")) == [
        ChangeNotice(
            "101", Resource.DEAL, "123", Kind.CHANGED, occurred_at=NOW, property_name="dealstage", actor_id="7"
        )
    ]


def test_own_write_is_an_echo_and_that_of_another_integration_is_none() -> None:
    [own] = hubspot.notices(sampled(CRM.HUBSPOT, "own-echo"))
    assert own.is_echo
    echo = orjson.loads(sample(CRM.HUBSPOT, "own-echo")[1])[0]
    for other in (
        {"sourceId": "56"},
        {"sourceId": None},
        {"changeSource": "CRM_UI"},
        {"appId": None, "sourceId": "None"},
    ):
        [notice] = of({**echo, **other})
        assert not notice.is_echo


def test_array_may_mix_accounts_and_types() -> None:
    found = hubspot.notices(sampled(CRM.HUBSPOT, "mixed-accounts"))
    assert [(each.account_id, each.resource, each.external_id, each.kind) for each in found] == [
        ("101", Resource.ORDER, "200", Kind.CREATED),
        ("202", Resource.DEAL, "200", Kind.DELETED),
        ("202", Resource.COMPANY, "201", Kind.RESTORED),
    ]


def test_merge_into_a_new_record_names_all_that_are_no_more() -> None:
    [merge] = hubspot.notices(sampled(CRM.HUBSPOT, "merge"))
    assert (merge.kind, merge.resource, merge.external_id) == (Kind.MERGED, Resource.CONTACT, "4")
    assert merge.merged_ids == ("1", "2", "3")


@pytest.mark.parametrize("new", [{}, {"newObjectId": 1}, {"newObjectId": 0}, {"newObjectId": None}])
def test_merge_into_the_primary_record_keeps_it(new: dict[str, object]) -> None:
    event = {
        **EVENT,
        "subscriptionType": "object.merge",
        "primaryObjectId": 1,
        "mergedObjectIds": [2, "3", None],
        **new,
    }
    [merge] = of(event)
    assert (merge.external_id, merge.merged_ids) == ("1", ("2", "3"))


@pytest.mark.parametrize("odd", [7, True, "23", {"id": 2}, None])
def test_merge_with_an_odd_list_still_names_the_record_that_stays(odd: object) -> None:
    [merge] = of({**EVENT, "subscriptionType": "object.merge", "primaryObjectId": 1, "mergedObjectIds": odd})
    assert (merge.external_id, merge.merged_ids) == ("1", ())


def test_link_that_is_removed_changes_both_ends() -> None:
    found = hubspot.notices(sampled(CRM.HUBSPOT, "association-change"))
    assert [(each.resource, each.external_id, each.kind) for each in found] == [
        (Resource.DEAL, "123", Kind.CHANGED),
        (Resource.COMPANY, "45", Kind.CHANGED),
    ]


def test_link_may_be_told_by_type_ids_and_to_a_type_that_does_not_matter() -> None:
    link = {"portalId": 101, "subscriptionType": "object.associationChange", "fromObjectId": 5, "toObjectId": 6}
    typed = {**link, "fromObjectTypeId": "0-8", "toObjectTypeId": "0-3"}
    assert [(each.resource, each.external_id) for each in of(typed)] == [(Resource.DEAL, "6")]
    named = {**link, "associationType": "LINE_ITEM_TO_DEAL"}
    assert [(each.resource, each.external_id) for each in of(named)] == [(Resource.DEAL, "6")]
    assert of({**link, "associationType": "A_TO_B_TO_C"}) == []


def test_privacy_deletion_asks_to_erase_and_a_plain_one_does_not() -> None:
    [privacy] = hubspot.notices(sampled(CRM.HUBSPOT, "privacy-deletion"))
    assert (privacy.kind, privacy.erase) == (Kind.DELETED, True)
    [plain] = of({**EVENT, "subscriptionType": "contact.deletion"})
    assert plain.erase is False


def test_event_type_may_stand_under_its_other_name() -> None:
    event = {**EVENT, "eventType": EVENT["subscriptionType"]}
    del event["subscriptionType"]
    assert of(event) == of(EVENT)


@pytest.mark.parametrize(
    "odd",
    [
        {"portalId": None}, {"portalId": "x"}, {"portalId": -1}, {"portalId": [[]]}, {"objectId": None},
        {"objectId": 0}, {"objectId": 1.5}, {"objectId": True}, {"objectId": "9" * 30}, {"objectId": "1\x00"},
        {"objectTypeId": "0-8"}, {"objectTypeId": None}, {"subscriptionType": "object.teleport"},
        {"subscriptionType": {"a": 1}}, {"subscriptionType": "conversation.creation", "objectTypeId": None},
    ],
)  # fmt: skip
def test_event_that_says_too_little_is_left_out_and_its_neighbour_is_not(odd: dict[str, object]) -> None:
    body = orjson.dumps([{**EVENT, **odd}, EVENT])
    assert hubspot.notices(delivery(CRM.HUBSPOT, body)) == of(EVENT)


def test_odd_hints_are_dropped_and_the_notice_stays() -> None:
    [notice] = of({**EVENT, "occurredAt": 10**17, "propertyName": "a\x00b", "sourceId": {"deep": 1}})
    assert (notice.external_id, notice.occurred_at, notice.property_name, notice.actor_id) == ("123", None, None, None)


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[1]", b"[[]]", b"null", b"[{]", b"\xff", b'[{"a":"\xff"}]', b"[" * 100_000]
)
def test_body_that_is_no_array_of_events_is_unreadable(body: bytes) -> None:
    for read in (hubspot.notices, hubspot.delivery_key):
        with pytest.raises(Unreadable):
            read(delivery(CRM.HUBSPOT, body))


def test_event_nested_to_the_parsers_end_is_unreadable_or_left_out() -> None:
    body = b'[{"portalId":101,"propertyValue":' + b"[" * 900 + b"]" * 900 + b"}]"
    with pytest.raises(Unreadable):
        hubspot.delivery_key(delivery(CRM.HUBSPOT, body))


def test_key_survives_redelivery_in_another_attempt_and_order() -> None:
    other = {**EVENT, "objectId": 124}
    again = {**EVENT, "attemptNumber": 3, "eventId": 99}
    assert key(EVENT, other) == key(other, again)


@pytest.mark.parametrize(
    "change",
    [
        {"occurredAt": 1790000000001},
        {"propertyValue": "lost"},
        {"objectId": 5},
        {"portalId": 5},
        {"objectTypeId": "0-1"},
    ],
)
def test_key_of_another_event_differs(change: dict[str, object]) -> None:
    assert key(EVENT) != key({**EVENT, **change})


def test_links_to_two_records_have_two_keys() -> None:
    link = orjson.loads(sample(CRM.HUBSPOT, "association-change")[1])[0]
    assert key(link) != key({**link, "toObjectId": 46})


def test_workflow_action_names_its_record_and_has_the_key_of_its_callback() -> None:
    made = sampled(CRM.HUBSPOT, "workflow-action", endpoint=Endpoint.ACTION)
    assert hubspot.notices(made) == [ChangeNotice("101", Resource.CONTACT, "123", Kind.CHANGED)]
    spaced = orjson.dumps(orjson.loads(made.body), option=orjson.OPT_INDENT_2)
    again = delivery(CRM.HUBSPOT, spaced, endpoint=Endpoint.ACTION)
    assert hubspot.delivery_key(made) == hubspot.delivery_key(again)


@pytest.mark.parametrize("body", [b"[]", b"{}", b'{"callbackId":5}', b"x"])
def test_body_that_is_no_action_is_unreadable(body: bytes) -> None:
    for read in (hubspot.notices, hubspot.delivery_key):
        with pytest.raises(Unreadable):
            read(delivery(CRM.HUBSPOT, body, endpoint=Endpoint.ACTION))


@pytest.mark.parametrize(
    "body",
    [
        b'{"callbackId":"a","origin":1,"object":{}}',
        b'{"callbackId":"a","origin":{"portalId":101},"object":{"objectId":1,"objectType":"TICKET"}}',
    ],
)
def test_action_on_nothing_of_ours_gives_no_notice(body: bytes) -> None:
    assert hubspot.notices(delivery(CRM.HUBSPOT, body, endpoint=Endpoint.ACTION)) == []
