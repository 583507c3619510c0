"""The files that HubSpot and amoCRM are given say what the code expects."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from adapters.hubspot.auth import OPTIONAL_SCOPES, SCOPES
from adapters.records import CRM
from connector.api.actions import SCOPE
from connector.api.calls import NAMES
from connector.config import Config
from connector.grants import callback_url

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "marketplace" / "hubspot" / "src" / "app"
WIDGET = ROOT / "marketplace" / "amocrm"
BASE = "https://app.example.com"
ADDRESS = re.compile(r"https?://[\w.:-]+")


def config_of(name):
    return json.loads((FOLDER / name).read_text())["config"]


def test_the_app_asks_for_the_scopes_that_the_consent_page_is_given():
    auth = config_of("app-hsmeta.json")["auth"]
    assert auth["requiredScopes"] == list(SCOPES)
    assert auth["optionalScopes"] == list(OPTIONAL_SCOPES)


def test_people_come_back_to_our_address_to_the_letter():
    auth = config_of("app-hsmeta.json")["auth"]
    assert auth["redirectUrls"] == [callback_url(Config(public_url=BASE), CRM.HUBSPOT)]


def test_webhooks_go_to_our_address_and_never_tell_of_our_own_fields():
    webhooks = config_of("webhooks/webhooks-hsmeta.json")
    assert webhooks["settings"]["targetUrl"] == f"{BASE}/webhooks/hubspot"
    subscriptions = webhooks["subscriptions"]["crmObjects"]
    assert not [one for one in subscriptions if one.get("propertyName", "").startswith("rfm_")]
    told = {(one["objectType"], one["subscriptionType"].removeprefix("object.")) for one in subscriptions}
    for kind in ("deal", "order", "contact", "company"):
        assert {(kind, "creation"), (kind, "deletion"), (kind, "restore"), (kind, "propertyChange")} <= told
    assert all(one["active"] for one in subscriptions)


# --- workflow actions and the card ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["rfm-score", "rfm-segment"])
def test_a_workflow_action_calls_our_address_and_names_what_we_answer(name):
    action = config_of(f"workflow-actions/{name}-hsmeta.json")
    assert action["actionUrl"] == f"{BASE}/actions/hubspot/{name}"
    assert name in NAMES
    outputs = [one["typeDefinition"]["name"] for one in action["outputFields"]]
    assert outputs == ["r", "f", "m", "code", "segment"]
    for said in action["labels"].values():
        assert set(said["outputFieldLabels"]) == set(outputs)
        assert all(said[key] for key in ("actionName", "actionDescription", "actionCardContent"))
    assert set(action["labels"]) == {"ru", "en"}


def test_the_actions_can_be_answered_later_with_the_scope_that_is_asked_for():
    assert SCOPE in config_of("app-hsmeta.json")["auth"]["optionalScopes"]


def test_the_card_asks_our_address_which_the_app_permits():
    card = config_of("cards/rfm-card-hsmeta.json")
    assert set(card["objectTypes"]) == {"contacts", "companies", "deals"}
    script = (FOLDER.parent / card["entrypoint"].lstrip("/")).read_text(encoding="utf-8")
    assert f'BASE_URL = "{BASE}"' in script
    assert "/card/hubspot?" in script
    assert config_of("app-hsmeta.json")["permittedUrls"]["fetch"] == [BASE]
    assert set(ADDRESS.findall(script)) == {BASE}


def test_every_part_of_the_app_has_an_id_of_its_own():
    found = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.rglob("*-hsmeta.json"))]
    assert len({one["uid"] for one in found}) == len(found) == 5


# --- amoCRM's widget -----------------------------------------------------------------------------------------------


def keys_of(tree, path=""):
    for key, value in tree.items():
        yield from keys_of(value, f"{path}{key}.") if isinstance(value, dict) else [f"{path}{key}"]


def test_the_widget_speaks_every_language_that_it_declares():
    manifest = json.loads((WIDGET / "manifest.json").read_text(encoding="utf-8"))
    texts = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in (WIDGET / "i18n").glob("*.json")}
    assert set(texts) == set(manifest["widget"]["locale"]) == {"ru", "en"}
    assert set(keys_of(texts["ru"])) == set(keys_of(texts["en"]))
    for key in ("name", "description", "short_description"):
        branch, _, leaf = manifest["widget"][key].partition(".")
        assert all(text[branch][leaf] for text in texts.values())


def test_the_widget_stands_on_the_cards_and_asks_our_address_only():
    manifest = json.loads((WIDGET / "manifest.json").read_text(encoding="utf-8"))
    assert {"ccard-1", "comcard-1", "lcard-1"} <= set(manifest["locations"])
    script = (WIDGET / "script.js").read_text(encoding="utf-8")
    assert set(ADDRESS.findall(script)) == {BASE}
    assert "/card/amocrm" in script
    assert "$authorizedAjax" in script
    for name in ("render", "init", "bind_actions", "onSave"):  # without `return true` amoCRM drops the widget
        assert re.search(rf"{name}: function \(\w*\) \{{.*?return true;", script, re.DOTALL), name
    for key in re.findall(r'words\("(\w+)"\)', script):
        assert f"card.{key}" in set(keys_of(json.loads((WIDGET / "i18n" / "en.json").read_text(encoding="utf-8"))))


@pytest.mark.parametrize(
    "path", sorted(ROOT.glob("marketplace/**/*.json")), ids=lambda path: path.relative_to(ROOT).as_posix()
)
def test_every_address_in_the_files_is_the_template_to_be_replaced(path):
    text = path.read_text(encoding="utf-8")
    json.loads(text)
    assert set(ADDRESS.findall(text)) <= {BASE}
