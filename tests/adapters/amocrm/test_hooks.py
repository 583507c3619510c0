from __future__ import annotations

import pytest

from adapters.amocrm import hooks
from adapters.errors import ScopeMissing

URL = "https://rfm.example/webhooks/amocrm/secret"


@pytest.fixture
def portal(bench):
    return bench.portal


@pytest.fixture
def adapter(bench):
    return bench.adapter


def test_a_subscription_is_made_once_and_then_only_looked_at(adapter, portal):
    adapter.subscribe(URL)
    (hook,) = portal.account.hooks.values()
    assert (hook.destination, set(hook.settings)) == (URL, set(hooks.EVENTS))
    asked = portal.requests
    adapter.subscribe(URL)
    assert portal.requests == asked + 1
    assert len(portal.account.hooks) == 1


def test_a_hook_that_was_switched_off_or_lacks_an_event_is_put_right(adapter, portal):
    adapter.subscribe(URL)
    (hook,) = portal.account.hooks.values()
    hook.settings = hook.settings[1:]
    adapter.subscribe(URL)
    assert set(hook.settings) == set(hooks.EVENTS)
    hook.disabled = True
    asked = portal.requests
    adapter.subscribe(URL)
    assert portal.requests == asked + 2


def test_another_programs_hook_stays(adapter, portal):
    adapter.subscribe("https://other.example/hook")
    adapter.subscribe(URL)
    adapter.unsubscribe(URL)
    assert [hook.destination for hook in portal.account.hooks.values()] == ["https://other.example/hook"]
    adapter.unsubscribe(URL)


def test_only_an_administrators_token_may_subscribe(adapter, portal, monkeypatch):
    monkeypatch.setattr(type(portal.account), "token_is_admin", lambda _account: False)
    with pytest.raises(ScopeMissing):
        adapter.subscribe(URL)


def test_cards_are_not_asked_for_at_every_change():
    assert not {"update_contact", "update_company"} & set(hooks.EVENTS)
    assert {"status_lead", "delete_lead", "restore_lead", "responsible_contact", "delete_company"} <= set(hooks.EVENTS)
