"""Bitrix24's receiver."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from adapters.records import CRM
from tests.webhooks.factories import MEMBER, NOW, delivery, sample, sampled
from webhooks import bitrix24
from webhooks.deliveries import ChangeNotice, Delivery, Endpoint, Kind, Resource, Secrets
from webhooks.errors import NotAuthentic, Unreadable

SECRETS = Secrets(("TOKEN",), account_id=MEMBER)
AT = datetime.fromtimestamp(1_767_000_000, UTC)


def changed(name: str, old: str, new: str) -> Delivery:
    _, body = sample(CRM.BITRIX24, name)
    assert old.encode() in body
    return delivery(CRM.BITRIX24, body.replace(old.encode(), new.encode()))


def event(name: str, **fields: str) -> Delivery:
    data = "".join(f"&data[FIELDS][{key}]={value}" for key, value in fields.items())
    return delivery(CRM.BITRIX24, f"event={name}{data}&auth[member_id]={MEMBER}")


def one(name: str) -> ChangeNotice:
    [notice] = bitrix24.notices(sampled(CRM.BITRIX24, name))
    return notice


@pytest.mark.parametrize("name", ["deal-update", "deal-delete-by-system", "app-uninstall", "app-install", "app-update"])
def test_right_token_of_the_right_portal_passes(name: str) -> None:
    bitrix24.verify(sampled(CRM.BITRIX24, name), SECRETS, now=NOW)


def test_any_token_passes_while_a_new_one_is_taken_over() -> None:
    made = sampled(CRM.BITRIX24, "deal-update")
    for tokens in (("NEW", "TOKEN"), ("TOKEN", "OLD"), ("", "TOKEN")):
        bitrix24.verify(made, Secrets(tokens, account_id=MEMBER), now=NOW)


def test_robot_and_page_pass_with_the_token_at_their_places() -> None:
    bitrix24.verify(sampled(CRM.BITRIX24, "robot", endpoint=Endpoint.ACTION), SECRETS, now=NOW)
    bitrix24.verify(sampled(CRM.BITRIX24, "card-page", endpoint=Endpoint.CARD), SECRETS, now=NOW)


def test_event_does_not_pass_with_the_token_at_the_place_of_a_page() -> None:
    with pytest.raises(NotAuthentic):
        bitrix24.verify(sampled(CRM.BITRIX24, "card-page"), SECRETS, now=NOW)


@pytest.mark.parametrize(
    "secrets",
    [
        Secrets(),
        Secrets((), account_id=MEMBER),
        Secrets(("",), account_id=MEMBER),
        Secrets(("OTHER",), account_id=MEMBER),
        Secrets(("TOKEN",), account_id="another-portal"),
        Secrets(("TOKEN",)),
    ],
)
def test_missing_or_other_secret_proves_nothing(secrets: Secrets) -> None:
    with pytest.raises(NotAuthentic):
        bitrix24.verify(sampled(CRM.BITRIX24, "deal-update"), secrets, now=NOW)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("=TOKEN", "=WRONG"),
        ("=TOKEN", "="),
        ("application_token", "nothing"),
        ("auth[application_token]", "auth[application_token][]"),
        (MEMBER, "0" * 32),
        (MEMBER, ""),
        (MEMBER, "%00"),
        ("member_id", "nothing"),
    ],
)
def test_request_without_the_pair_proves_nothing(old: str, new: str) -> None:
    with pytest.raises(NotAuthentic):
        bitrix24.verify(changed("deal-update", old, new), SECRETS, now=NOW)


def test_payment_event_has_no_token_and_is_refused() -> None:
    with pytest.raises(NotAuthentic):
        bitrix24.verify(sampled(CRM.BITRIX24, "app-payment"), SECRETS, now=NOW)


@pytest.mark.parametrize("member_id", ["a" * 65, "a%00", "%C3%A9", "a b", ""])
def test_address_is_short_and_plain_or_refused(member_id: str) -> None:
    with pytest.raises(NotAuthentic):
        bitrix24.address(delivery(CRM.BITRIX24, f"event=X&auth[member_id]={member_id}"))


def test_deal_update() -> None:
    assert one("deal-update") == ChangeNotice(MEMBER, Resource.DEAL, "123", Kind.CHANGED, occurred_at=AT, actor_id="7")


def test_change_by_a_robot_names_nobody() -> None:
    notice = one("deal-delete-by-system")
    assert (notice.kind, notice.external_id, notice.actor_id) == (Kind.DELETED, "123", None)


def test_move_to_another_funnel_is_a_change_in_any_case_of_its_name() -> None:
    notice = one("deal-move-to-category")
    assert (notice.resource, notice.external_id, notice.kind) == (Resource.DEAL, "123", Kind.CHANGED)


def test_field_that_is_deleted_is_named() -> None:
    notice = one("field-delete")
    assert (notice.resource, notice.external_id, notice.kind) == (Resource.FIELD, "512", Kind.DELETED)
    assert notice.property_name == "UF_CRM_RFM_SEGMENT"


@pytest.mark.parametrize(
    ("name", "resource", "kind"),
    [
        ("ONCRMCONTACTADD", Resource.CONTACT, Kind.CREATED),
        ("ONCRMCONTACTUPDATE", Resource.CONTACT, Kind.CHANGED),
        ("ONCRMCOMPANYDELETE", Resource.COMPANY, Kind.DELETED),
        ("ONCRMACTIVITYUPDATE", Resource.TASK, Kind.CHANGED),
        ("ONCRMCOMPANYUSERFIELDADD", Resource.FIELD, Kind.CREATED),
        ("ONCRMDEALUSERFIELDSETENUMVALUES", Resource.FIELD, Kind.CHANGED),
        ("ONSALEORDERSAVED", Resource.ORDER, Kind.CHANGED),
        ("ONORDERENTITYSAVED", Resource.ORDER, Kind.CHANGED),
        ("ONORDERDELETED", Resource.ORDER, Kind.DELETED),
        ("ONSALEBEFOREORDERDELETE", Resource.ORDER, Kind.DELETED),
    ],
)
def test_every_event_that_matters_has_its_meaning(name: str, resource: Resource, kind: Kind) -> None:
    [notice] = bitrix24.notices(event(name, ID="5"))
    assert (notice.resource, notice.kind, notice.external_id) == (resource, kind, "5")


def test_payment_of_an_order_is_a_change_of_the_order_not_of_its_own_number() -> None:
    [notice] = bitrix24.notices(event("ONPAYMENTENTITYSAVED", ID="9", ORDER_ID="31"))
    assert (notice.resource, notice.external_id) == (Resource.ORDER, "31")
    assert bitrix24.notices(event("ONPAYMENTDELETED", ID="9")) == []


def test_events_without_meaning_for_us_give_no_notice() -> None:
    assert bitrix24.notices(sampled(CRM.BITRIX24, "planner-task-add")) == []
    assert bitrix24.notices(event("ONAPPTEST", ID="5")) == []
    assert bitrix24.notices(event("ONCRMDYNAMICITEMADD_31", ID="5")) == []


@pytest.mark.parametrize("external_id", ["", "0", "-1", "undefined", "1%00", "1.5", "9" * 30, "٣"])
def test_odd_id_gives_no_notice(external_id: str) -> None:
    assert bitrix24.notices(event("ONCRMDEALUPDATE", ID=external_id)) == []


@pytest.mark.parametrize(
    ("name", "kind", "erase"),
    [
        ("app-install", Kind.CREATED, False),
        ("app-update", Kind.CHANGED, False),
        ("app-uninstall", Kind.DELETED, True),
        ("app-uninstall-keep", Kind.DELETED, False),
    ],
)
def test_life_of_the_app_is_about_the_portal_itself(name: str, kind: Kind, erase: bool) -> None:
    notice = one(name)
    assert (notice.resource, notice.external_id, notice.kind, notice.erase) == (Resource.APP, MEMBER, kind, erase)


def test_body_that_is_no_event_is_unreadable() -> None:
    for body in (
        f"auth[member_id]={MEMBER}",
        f"event=&auth[member_id]={MEMBER}",
        f"event[]=A&auth[member_id]={MEMBER}",
    ):
        for read in (bitrix24.notices, bitrix24.delivery_key):
            with pytest.raises(Unreadable):
                read(delivery(CRM.BITRIX24, body))


def test_key_folds_two_handlers_of_one_event() -> None:
    made = bitrix24.delivery_key(sampled(CRM.BITRIX24, "deal-update"))
    assert made == bitrix24.delivery_key(changed("deal-update", "event_handler_id=8", "event_handler_id=88"))
    assert made == bitrix24.delivery_key(changed("deal-update", "=ACCESS", "=ANOTHER"))
    assert made == bitrix24.delivery_key(changed("deal-update", "ONCRMDEALUPDATE", "OnCrmDealUpdate"))


@pytest.mark.parametrize(
    ("old", "new"),
    [("[ID]=123", "[ID]=124"), ("ts=1767000000", "ts=1767000001"), ("DEALUPDATE", "DEALADD"), (MEMBER, "f" * 32)],
)
def test_key_of_another_event_differs(old: str, new: str) -> None:
    made = bitrix24.delivery_key(sampled(CRM.BITRIX24, "deal-update"))
    assert made != bitrix24.delivery_key(changed("deal-update", old, new))


def test_robot_names_the_card_it_runs_on_and_has_the_key_of_its_call() -> None:
    made = sampled(CRM.BITRIX24, "robot", endpoint=Endpoint.ACTION)
    assert bitrix24.notices(made) == [ChangeNotice(MEMBER, Resource.DEAL, "123", Kind.CHANGED, occurred_at=AT)]
    again = delivery(CRM.BITRIX24, made.body.replace(b"ts=1767000000", b"ts=1767000009"), endpoint=Endpoint.ACTION)
    other = delivery(CRM.BITRIX24, made.body.replace(b"%7Cabc", b"%7Cabd"), endpoint=Endpoint.ACTION)
    assert bitrix24.delivery_key(made) == bitrix24.delivery_key(again) != bitrix24.delivery_key(other)


def test_robot_on_another_kind_of_document_gives_no_notice() -> None:
    made = sampled(CRM.BITRIX24, "robot", endpoint=Endpoint.ACTION)
    for document in (b"LEAD_1", b"DYNAMIC_31_5", b"DEAL_", b"DEAL_x", b""):
        body = made.body.replace(b"DEAL_123", document)
        assert bitrix24.notices(delivery(CRM.BITRIX24, body, endpoint=Endpoint.ACTION)) == []


def test_page_of_a_card_changes_nothing() -> None:
    made = sampled(CRM.BITRIX24, "card-page", endpoint=Endpoint.CARD)
    assert bitrix24.notices(made) == []
    assert len(bitrix24.delivery_key(made)) == 64


def test_robot_without_its_token_is_unreadable() -> None:
    made = delivery(CRM.BITRIX24, f"auth[member_id]={MEMBER}", endpoint=Endpoint.ACTION)
    with pytest.raises(Unreadable):
        bitrix24.notices(made)
