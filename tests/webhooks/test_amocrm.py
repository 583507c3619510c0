"""amoCRM's receiver."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from adapters.records import CRM
from tests.webhooks.factories import NOW, SECRET, delivery, sample, sampled, token
from webhooks import amocrm, signatures
from webhooks.deliveries import ChangeNotice, Delivery, Endpoint, Kind, Resource, Secrets
from webhooks.errors import NotAuthentic, Stale, Unreadable

SECRETS = Secrets(("path-secret",), account_id="123")
APP = Secrets((SECRET,), client_id="client-uuid", audience="https://app.example.com")
AT = datetime.fromtimestamp(1_767_000_000, UTC)
ENDS = round(NOW.timestamp()) + 1800
WIDGET = {
    "iss": "https://demo.amocrm.ru", "aud": "https://app.example.com", "jti": "t-1", "iat": ENDS - 1800,
    "nbf": ENDS - 1800, "exp": ENDS, "account_id": 123, "subdomain": "demo", "client_uuid": "client-uuid",
    "user_id": 7, "is_admin": True,
}  # fmt: skip
BOT = {
    "iss": "https://demo.amocrm.ru", "client_uuid": "client-uuid", "subdomain": "demo", "account_id": 123,
    "entity_id": 11, "entity_type": 2, "bot_type": "salesbot", "exp": ENDS,
}  # fmt: skip


def hook(body: str, *, secret: str = "path-secret") -> Delivery:
    return delivery(CRM.AMOCRM, body, path=f"/webhooks/amocrm/{secret}")


def uninstall(*, secret: str = SECRET, client: str = "client-uuid", account: str = "123", drop: str = "") -> Delivery:
    query = {
        "account_id": account,
        "client_uuid": client,
        "signature": signatures.amocrm_uninstall(secret, client, account),
    }
    text = "&".join(f"{key}={value}" for key, value in query.items() if key != drop)
    return delivery(CRM.AMOCRM, path=f"/uninstall/amocrm?{text}", endpoint=Endpoint.UNINSTALL, method="GET")


def seen(name: str) -> list[tuple[Resource, str, Kind]]:
    return [(each.resource, each.external_id, each.kind) for each in amocrm.notices(sampled(CRM.AMOCRM, name))]


def test_right_secret_of_the_right_account_passes() -> None:
    amocrm.verify(sampled(CRM.AMOCRM, "lead-status"), SECRETS, now=NOW)


def test_any_secret_passes_during_rotation() -> None:
    for values in (("new", "path-secret"), ("path-secret", "old")):
        amocrm.verify(sampled(CRM.AMOCRM, "lead-status"), Secrets(values, account_id="123"), now=NOW)


@pytest.mark.parametrize("secret", ["wrong", "path-secre", "path-secret2", "", "PATH-SECRET", "%00", "%ff"])
def test_wrong_secret_proves_nothing(secret: str) -> None:
    with pytest.raises(NotAuthentic):
        amocrm.verify(hook("account[id]=123", secret=secret), SECRETS, now=NOW)


@pytest.mark.parametrize(
    "secrets", [Secrets(), Secrets((), account_id="123"), Secrets(("",), account_id="123"), Secrets(("path-secret",))]
)
def test_missing_secret_proves_nothing(secrets: Secrets) -> None:
    for secret in ("", "path-secret"):
        with pytest.raises(NotAuthentic):
            amocrm.verify(hook("account[id]=123", secret=secret), secrets, now=NOW)


def test_right_secret_with_the_body_of_another_account_proves_nothing() -> None:
    with pytest.raises(NotAuthentic):
        amocrm.verify(hook("leads[add][0][id]=1&account[id]=124"), SECRETS, now=NOW)


@pytest.mark.parametrize(
    "body", ["", "leads[add][0][id]=1", "account=123", "account[id]=", "account[id][]=123", "{}", "{"]
)
def test_body_without_an_account_is_unreadable(body: str) -> None:
    with pytest.raises(Unreadable):
        amocrm.verify(hook(body), SECRETS, now=NOW)


def test_address_is_the_fingerprint_of_the_secret_as_it_was_meant() -> None:
    made = signatures.fingerprint("a b")
    assert amocrm.address(hook("", secret="a%20b")) == made
    assert len(made) == 64
    assert amocrm.address(uninstall()) == ""


def test_delivery_never_shows_its_secret() -> None:
    assert "path-secret" not in repr(sampled(CRM.AMOCRM, "lead-status"))
    assert "path-secret" not in repr(SECRETS)


def test_uninstall_hook_passes_with_any_client_secret_and_can_be_replayed() -> None:
    for _ in range(2):
        amocrm.verify(uninstall(), APP, now=NOW + timedelta(days=365))
    amocrm.verify(uninstall(secret="old"), Secrets((SECRET, "old"), client_id="client-uuid"), now=NOW)
    assert amocrm.notices(uninstall()) == [ChangeNotice("123", Resource.APP, "123", Kind.DELETED)]
    assert amocrm.delivery_key(uninstall()) == amocrm.delivery_key(uninstall())
    assert amocrm.delivery_key(uninstall()) != amocrm.delivery_key(uninstall(account="124"))


def test_uninstall_signature_may_be_in_capitals() -> None:
    made = uninstall()
    head, _, signature = made.url.rpartition("signature=")
    path = f"{head.removeprefix('https://app.example.com')}signature={signature.upper()}"
    amocrm.verify(delivery(CRM.AMOCRM, path=path, endpoint=Endpoint.UNINSTALL, method="GET"), APP, now=NOW)


@pytest.mark.parametrize("drop", ["account_id", "client_uuid", "signature"])
def test_uninstall_hook_without_a_part_proves_nothing(drop: str) -> None:
    with pytest.raises(NotAuthentic):
        amocrm.verify(uninstall(drop=drop), APP, now=NOW)


@pytest.mark.parametrize(
    ("made", "secrets"),
    [
        (uninstall(secret="wrong"), APP),
        (uninstall(client="other-uuid"), APP),
        (uninstall(), Secrets((SECRET,))),
        (uninstall(), Secrets((), client_id="client-uuid")),
        (uninstall(secret=""), Secrets(("",), client_id="client-uuid")),
    ],
)
def test_uninstall_hook_with_a_wrong_proof_proves_nothing(made: Delivery, secrets: Secrets) -> None:
    with pytest.raises(NotAuthentic):
        amocrm.verify(made, secrets, now=NOW)


def test_uninstall_hook_with_an_endless_query_is_unreadable() -> None:
    made = delivery(CRM.AMOCRM, path="/uninstall/amocrm?" + "a=1&" * 1000, endpoint=Endpoint.UNINSTALL)
    with pytest.raises(Unreadable):
        amocrm.verify(made, APP, now=NOW)


def test_status_of_a_lead() -> None:
    assert amocrm.notices(sampled(CRM.AMOCRM, "lead-status")) == [
        ChangeNotice("123", Resource.DEAL, "11", Kind.CHANGED, occurred_at=AT, actor_id="7")
    ]


def test_several_leads_in_one_hook() -> None:
    assert seen("lead-update") == [(Resource.DEAL, "11", Kind.CHANGED), (Resource.DEAL, "12", Kind.CHANGED)]


def test_companies_come_under_contacts_and_without_a_type_it_may_be_either() -> None:
    assert seen("contacts-and-companies") == [
        (Resource.CONTACT, "21", Kind.CHANGED),
        (Resource.COMPANY, "31", Kind.CHANGED),
        (Resource.CONTACT, "41", Kind.DELETED),
        (Resource.COMPANY, "41", Kind.DELETED),
        (Resource.CONTACT, "22", Kind.RESTORED),
    ]


def test_task_and_deleted_lead() -> None:
    assert seen("task-done") == [(Resource.TASK, "61", Kind.CHANGED)]
    assert seen("lead-deleted") == [(Resource.DEAL, "11", Kind.DELETED)]


def test_notes_unsorted_customers_and_lists_give_no_notice() -> None:
    assert seen("notes-and-unsorted") == []


def test_one_record_under_two_actions_of_one_kind_is_one_notice() -> None:
    body = "leads[update][0][id]=11&leads[status][0][id]=11&leads[responsible][0][id]=11&account[id]=123"
    assert len(amocrm.notices(hook(body))) == 1


@pytest.mark.parametrize("external_id", ["", "0", "-5", "abc", "1%00", "1e3", "9" * 30])
def test_odd_id_gives_no_notice(external_id: str) -> None:
    assert amocrm.notices(hook(f"leads[add][0][id]={external_id}&account[id]=123")) == []


@pytest.mark.parametrize("body", ["leads=1", "leads[add]=1", "leads[add][0]=1", "leads[add][0][id][]=1"])
def test_odd_shape_gives_no_notice(body: str) -> None:
    assert amocrm.notices(hook(f"{body}&account[id]=123")) == []


def test_key_is_that_of_the_bytes() -> None:
    made = sampled(CRM.AMOCRM, "lead-status")
    assert amocrm.delivery_key(made) == amocrm.delivery_key(sampled(CRM.AMOCRM, "lead-status"))
    assert amocrm.delivery_key(made) != amocrm.delivery_key(sampled(CRM.AMOCRM, "lead-update"))


def test_action_of_the_pipeline_may_come_as_json() -> None:
    headers, body = sample(CRM.AMOCRM, "pipeline-action")
    made = delivery(CRM.AMOCRM, body, headers=headers, endpoint=Endpoint.ACTION)
    amocrm.verify(made, SECRETS, now=NOW)
    at = datetime.fromtimestamp(1_700_000_000, UTC)
    assert amocrm.notices(made) == [ChangeNotice("123", Resource.DEAL, "11", Kind.CHANGED, occurred_at=at)]


@pytest.mark.parametrize("event", ["1", "{}", '{"data":[]}'])
def test_json_that_is_no_action_is_unreadable(event: str) -> None:
    with pytest.raises(Unreadable):
        amocrm.notices(delivery(CRM.AMOCRM, f'{{"account_id":123,"event":{event}}}'))


def test_action_on_amocrms_own_customer_gives_no_notice() -> None:
    body = '{"account_id":123,"event":{"data":{"id":5,"element_type":12}}}'
    assert amocrm.notices(delivery(CRM.AMOCRM, body)) == []


def test_visitor_of_the_widget() -> None:
    found = amocrm.visitor(token(WIDGET), APP, now=NOW)
    assert (found.account_id, found.user_id, found.is_admin, found.subdomain, found.token_id) == (
        "123", "7", True, "demo", "t-1"
    )  # fmt: skip
    assert found.expires_at == datetime.fromtimestamp(ENDS, UTC)


def test_visitor_may_name_several_audiences() -> None:
    made = token({**WIDGET, "aud": ["https://other.example.com", "https://app.example.com"]})
    assert amocrm.visitor(made, APP, now=NOW).account_id == "123"


@pytest.mark.parametrize("is_admin", [False, None, "true", 1, "1", [1]])
def test_visitor_is_admin_only_where_the_token_plainly_says_so(is_admin: object) -> None:
    assert amocrm.visitor(token({**WIDGET, "is_admin": is_admin}), APP, now=NOW).is_admin is False


@pytest.mark.parametrize(
    "change",
    [
        {"aud": "https://evil.example.com"}, {"aud": None}, {"aud": {}}, {"client_uuid": "other"},
        {"client_uuid": None}, {"account_id": None}, {"account_id": "x"}, {"user_id": None}, {"user_id": [1]},
    ],
)  # fmt: skip
def test_visitor_with_a_token_for_somebody_else_proves_nothing(change: dict[str, Any]) -> None:
    with pytest.raises(NotAuthentic):
        amocrm.visitor(token({**WIDGET, **change}), APP, now=NOW)


def test_visitor_proves_nothing_without_our_settings_or_for_another_account() -> None:
    for secrets in (
        Secrets((SECRET,)),
        Secrets((SECRET,), client_id="client-uuid"),
        Secrets((SECRET,), client_id="client-uuid", audience="https://app.example.com", account_id="124"),
    ):
        with pytest.raises(NotAuthentic):
            amocrm.visitor(token(WIDGET), secrets, now=NOW)


def test_visitor_with_an_old_token_is_stale() -> None:
    with pytest.raises(Stale):
        amocrm.visitor(token(WIDGET), APP, now=NOW + timedelta(minutes=32))


def bot(claims: dict[str, Any], *, alg: str = "HS512", digest: str = "sha512") -> Delivery:
    made = token(claims, alg=alg, digest=digest)
    return delivery(CRM.AMOCRM, f"token={made}&data[x]=1&return_url=x", endpoint=Endpoint.ACTION)


def test_bot_that_waits_on_a_lead() -> None:
    found = amocrm.bot_call(bot(BOT), APP, now=NOW)
    assert (found.account_id, found.resource, found.external_id, found.bot_type) == (
        "123", Resource.DEAL, "11", "salesbot"
    )  # fmt: skip


def test_bot_may_send_json_and_wait_on_amocrms_own_customer() -> None:
    made = token({**BOT, "entity_type": 12}, alg="HS512", digest="sha512")
    found = amocrm.bot_call(delivery(CRM.AMOCRM, f'{{"token":"{made}"}}'), APP, now=NOW)
    assert found.resource is None


def test_widgets_token_is_no_bots_token_and_the_other_way_round() -> None:
    with pytest.raises(NotAuthentic):
        amocrm.bot_call(bot(BOT, alg="HS256", digest="sha256"), APP, now=NOW)
    with pytest.raises(NotAuthentic):
        amocrm.visitor(token(WIDGET, alg="HS512", digest="sha512"), APP, now=NOW)


@pytest.mark.parametrize("change", [{"aud": "https://evil.example.com"}, {"client_uuid": "x"}, {"entity_id": None}])
def test_bots_token_for_somebody_else_proves_nothing(change: dict[str, Any]) -> None:
    with pytest.raises(NotAuthentic):
        amocrm.bot_call(bot({**BOT, **change}), APP, now=NOW)


@pytest.mark.parametrize("body", ["", "token[]=1", '{"token":5}', "token="])
def test_bot_without_a_token_proves_nothing(body: str) -> None:
    with pytest.raises(NotAuthentic):
        amocrm.bot_call(delivery(CRM.AMOCRM, body), APP, now=NOW)
