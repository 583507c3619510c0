from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from connector.app import create_app
from connector.config import Config
from connector.errors import Misconfigured
from connector.web import pages
from tests.connector.web import shop

AWAY = "postgresql://nobody:hidden-word@127.0.0.1:1/none"


@pytest.fixture
def away(tmp_path):
    return create_app(Config(database_url=AWAY, var_dir=tmp_path)).test_client()


def test_alive_needs_no_database(away):
    answer = away.get("/healthz")
    assert (answer.status_code, answer.text) == (200, "ok")


def test_ready_with_the_right_schema(client):
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json["ready"]) == (200, True)


def test_not_ready_without_a_database_and_no_secret_is_told(away):
    answer = away.get("/readyz")
    assert answer.status_code == 503
    assert answer.json["reason"].startswith("the database cannot be used")
    assert "hidden-word" not in answer.text


def test_not_ready_with_an_empty_database_and_nothing_is_set_up(empty_database_url, tmp_path):
    app = create_app(Config(database_url=empty_database_url, var_dir=tmp_path))
    asked = app.test_client()
    for _ in range(2):
        answer = asked.get("/readyz")
        assert answer.status_code == 503
        assert "run migrate" in answer.json["reason"]
    app.extensions["pages"].database.opened().close()


def test_the_first_page_sets_up_an_empty_database(empty_database_url, tmp_path):
    app = create_app(Config(database_url=empty_database_url, var_dir=tmp_path))
    assert app.test_client().get("/").status_code == 200
    assert app.test_client().get("/readyz").status_code == 200
    app.extensions["pages"].database().close()


def test_a_page_without_a_database_says_so_and_keeps_secrets(away):
    answer = away.get("/")
    assert answer.status_code == 503
    assert "The database is away" in answer.text
    assert "hidden-word" not in answer.text


def test_a_fault_of_ours_is_a_page_in_words_without_a_trace(app, client, monkeypatch):
    def broken(*_words):
        raise ZeroDivisionError("a secret of the code")

    monkeypatch.setattr(pages.overview, "portals_page", broken)
    answer = client.get("/")
    assert answer.status_code == 500
    assert "our fault" in answer.text
    for word in ("Traceback", "ZeroDivisionError", "a secret of the code"):
        assert word not in answer.text


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_pages_can_only_be_read(client, method):
    answer = client.open("/", method=method)
    assert answer.status_code == 405
    assert "GET" in answer.headers["Allow"]
    assert "can be read, and nothing else" in answer.text


@pytest.mark.parametrize("path", ["/", "/nothing", "/healthz", "/static/style.css", "/static/plotly.min.js"])
def test_every_answer_has_the_security_headers(client, path):
    headers = client.get(path).headers
    policy = headers["Content-Security-Policy"]
    assert "script-src 'self';" in policy
    assert "frame-ancestors 'self'" in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "SAMEORIGIN"
    assert headers["Referrer-Policy"] == "same-origin"


def test_no_page_has_a_script_or_a_handler_of_its_own(client, database):
    with database.session() as session:
        shop.whole_shop(session)
    for path in ("/", "/portals/north", "/nothing"):
        page = client.get(path).text
        inline = [tag for tag in page.split("<script")[1:] if not tag.startswith((" src=", ' type="application/json"'))]
        assert inline == []
        assert " onclick=" not in page
        assert " style=" not in page


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "[::1", "localhost@evil.example"])
def test_other_host_names_are_refused(client, host):
    answer = client.get("/", headers={"Host": host})
    assert answer.status_code == 421
    assert "Not under this name" in answer.text


@pytest.mark.parametrize("host", ["localhost", "localhost:8000", "127.0.0.1:9", "[::1]:8000"])
def test_this_computers_names_are_answered(client, host):
    assert client.get("/", headers={"Host": host}).status_code == 200


@pytest.fixture
def public(database, tmp_path):
    keys = {"secret_key": "s" * 32, "encryption_keys": ("k" * 32,), "metrics_token": "monitor"}
    app = create_app(Config(database_url=database.url, var_dir=tmp_path, public_url="https://rfm.example", **keys))
    yield app.test_client()
    app.extensions["pages"].database().close()


def status(client, path, host, *, peer="127.0.0.1", **headers):
    told = client.get(path, headers={"Host": host, **headers}, environ_overrides={"REMOTE_ADDR": peer})
    return told.status_code


def test_under_the_public_name_crms_find_their_addresses_and_nobody_finds_pages(public):
    for path in ("/webhooks/hubspot", "/oauth/hubspot/callback", "/install/bitrix24", "/uninstall/amocrm"):
        assert status(public, path, "rfm.example", peer="203.0.113.9") != 421
        assert status(public, path, "other.example", peer="203.0.113.9") == 421
    for path in ("/", "/portals/north", "/static/plotly.js", "/nothing", "/webhooks", "/installation"):
        assert status(public, path, "rfm.example", peer="203.0.113.9") == 421
        assert status(public, path, "rfm.example") == 421
    assert status(public, "/", "localhost") == 200


@pytest.mark.parametrize("path", ["/webhooks/hubspot", "/webhooks/bitrix24", "/webhooks/amocrm/guess"])
@pytest.mark.parametrize("host", ["rfm.example", "RFM.example:443", "other.example", "rfm.example.evil"])
def test_events_are_answered_alike_before_flask_and_by_it(public, path, host):
    def told(**overrides):
        overrides["REMOTE_ADDR"] = "203.0.113.9"
        answer = public.post(path, data=b"a=b", headers={"Host": host}, environ_overrides=overrides)
        return answer.status, answer.data, sorted(answer.headers)

    by_flask = {"RAW_URI": "", "REQUEST_URI": ""}  # without a raw address it goes the long way
    assert told() == told(**by_flask)


@pytest.mark.parametrize("peer", ["203.0.113.9", "10.0.0.7", "", "nowhere"])
def test_a_stranger_who_calls_us_by_a_name_of_this_computer_sees_nothing(public, peer):
    assert status(public, "/", "localhost", peer=peer) == 421
    assert status(public, "/metrics", "localhost", peer=peer) == 401


@pytest.mark.parametrize("header", ["X-Forwarded-For", "X-Real-IP", "Forwarded", "X-Forwarded-Host"])
def test_what_a_proxy_on_this_computer_hands_on_is_not_from_here(public, header):
    assert status(public, "/", "127.0.0.1:8000", **{header: "203.0.113.9"}) == 421
    assert status(public, "/metrics", "127.0.0.1:8000", **{header: "203.0.113.9"}) == 401


def test_health_is_answered_under_any_name(public):
    assert status(public, "/healthz", "10.1.2.3", peer="10.0.0.7") == 200
    assert status(public, "/readyz", "10.1.2.3", peer="10.0.0.7") == 200


def test_metrics_are_for_this_computer_and_for_whoever_has_the_token(public):
    told = public.get("/metrics")
    assert told.status_code == 200
    assert told.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert "# TYPE rfm_jobs gauge" in told.text
    far = {"host": "rfm.example", "peer": "203.0.113.9"}
    assert status(public, "/metrics", **far) == 401
    assert status(public, "/metrics", **far, Authorization="Bearer wrong") == 401
    assert status(public, "/metrics", **far, Authorization="Basic monitor") == 401
    assert status(public, "/metrics", **far, Authorization="Bearer monitor") == 200


def test_without_a_token_metrics_are_for_this_computer_only(client):
    assert status(client, "/metrics", "localhost") == 200
    for word in ("Bearer ", "Bearer None", ""):
        assert status(client, "/metrics", "rfm.example", peer="203.0.113.9", Authorization=word) == 401


def test_a_public_address_without_secrets_does_not_start():
    with pytest.raises(Misconfigured, match="SECRET_KEY, ENCRYPTION_KEYS"):
        create_app(Config(public_url="https://rfm.example"))


def test_settings_come_from_the_environment(monkeypatch, database):
    monkeypatch.setenv("DATABASE_URL", database.url)
    app = create_app()
    assert app.test_client().get("/readyz").status_code == 200
    app.extensions["pages"].database().close()


def test_plotly_comes_from_its_package_and_is_kept_by_browsers(client):
    plain = client.get("/static/plotly.min.js")
    packed = client.get("/static/plotly.min.js", headers={"Accept-Encoding": "gzip"})
    assert plain.data[:200].count(b"plotly.js")
    assert gzip.decompress(packed.data) == plain.data
    assert len(packed.data) < len(plain.data) / 2
    assert packed.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert packed.headers["Vary"].startswith("Accept-Encoding")


def test_the_icon_is_at_the_old_place_too(client):
    assert client.get("/favicon.ico").mimetype == "image/svg+xml"


def test_no_page_of_ours_is_kept_by_caches(client):
    assert client.get("/").headers["Cache-Control"] == "private, no-cache"


def test_the_style_sheet_names_each_colour_for_light_and_dark():
    sheet = (Path(pages.__file__).parent / "static" / "style.css").read_text(encoding="utf-8")
    light, dark = (sheet.split(":root {")[place].split("}")[0] for place in (1, 2))
    named = [line.split(":")[0].strip() for line in light.splitlines() if ": #" in line]
    assert [name for name in named if f"{name}:" not in dark] == []


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


PAIRS = [
    ("text", "ground"), ("text", "surface"), ("text-quiet", "ground"), ("text-quiet", "surface"), ("accent", "surface"),
    ("accent", "ground"), ("on-accent", "accent"), ("text", "calm-ground"), ("text", "good-ground"),
    ("text", "warn-ground"), ("text", "bad-ground"), ("good", "good-ground"), ("info", "info-ground"),
    ("warn", "warn-ground"), ("bad", "bad-ground"), ("calm", "calm-ground"), ("bad", "surface"),
    *(("seg-text", f"seg-{work}") for work in ("vip", "loyal", "promising", "at_risk", "sleeping", "other")),
]  # fmt: skip


@pytest.mark.parametrize("theme", [1, 2])
@pytest.mark.parametrize(("front", "back"), PAIRS)
def test_texts_can_be_read_against_their_ground(theme, front, back):
    sheet = (Path(pages.__file__).parent / "static" / "style.css").read_text(encoding="utf-8")
    block = sheet.split(":root {")[theme].split("}")[0]
    colours = dict(
        (part.strip() for part in line.strip().rstrip(";").split(":", 1))
        for line in block.splitlines()
        if ": #" in line
    )
    assert contrast(colours[f"--{front}"], colours[f"--{back}"]) >= 4.5


def test_charts_carry_data_that_scripts_can_read(client, database):
    with database.session() as session:
        shop.whole_shop(session)
    page = client.get("/portals/north").text
    data = json.loads(page.split('<script type="application/json">')[1].split("</script>")[0])
    assert data["kind"] == "shares"
    assert [len(series["shares"]) for series in data["series"]] == [5, 5]
