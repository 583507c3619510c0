"""Settings: read once, every wrong one named, and no secret in what is shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from connector.config import Config, from_environment
from connector.errors import Misconfigured

GOOD = {
    "DATABASE_URL": " postgresql://u:geheim@h/d ",
    "SECRET_KEY": "geheim-secret-key",
    "ENCRYPTION_KEYS": "geheim-newest-key-1, geheim-older-key-2,,",
    "PUBLIC_URL": "https://rfm.example",
    "HUBSPOT_API_URL": "https://api.example/",
    "ALLOWED_CRM_HOSTS": "CRM.example, 127.0.0.1:9000 ,",
    "LOG_LEVEL": "debug",
    "PORT": "9000",
    "VAR_DIR": "/srv/rfm",
}


def test_without_settings_the_defaults_count():
    config = from_environment({})
    assert config == Config()
    assert (config.database_url, config.port, config.log_level, config.var_dir) == (None, 8000, "WARNING", Path("var"))
    assert config.hubspot_api_url == "https://api.hubapi.com"
    assert not config.is_production


def test_settings_are_trimmed_and_lists_are_split():
    config = from_environment(GOOD)
    assert config.database_url == "postgresql://u:geheim@h/d"
    assert config.encryption_keys == ("geheim-newest-key-1", "geheim-older-key-2")
    assert config.allowed_crm_hosts == {"crm.example", "127.0.0.1:9000"}
    assert (config.hubspot_api_url, config.log_level, config.port) == ("https://api.example", "DEBUG", 9000)
    assert config.is_production


def test_an_empty_setting_is_none(tmp_path):
    assert from_environment(dict.fromkeys(GOOD, "  ")) == Config()


def test_no_secret_is_shown():
    assert "geheim" not in repr(from_environment(GOOD))


def test_every_wrong_setting_is_named_at_once():
    wrong = {
        "LOG_LEVEL": "loud",
        "PORT": "-1",
        "DATABASE_URL": "sqlite:///geheim",
        "PUBLIC_URL": "rfm",
        "HUBSPOT_API_URL": "x",
    }
    with pytest.raises(Misconfigured) as caught:
        from_environment(wrong)
    assert all(name in str(caught.value) for name in wrong)
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize("missing", ["SECRET_KEY", "ENCRYPTION_KEYS"])
def test_production_lacks_nothing_or_says_what(missing):
    from_environment(GOOD).require_secrets()
    with pytest.raises(Misconfigured, match=missing):
        from_environment({**GOOD, missing: ""}).require_secrets()
    from_environment({}).require_secrets()
