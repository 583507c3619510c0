from __future__ import annotations

import pytest

from connector.config import from_environment
from connector.errors import Misconfigured

VENDORS = ("HUBSPOT", "BITRIX24", "AMOCRM")


@pytest.mark.parametrize("vendor", VENDORS)
def test_an_apps_keys_are_read_and_its_secret_is_not_shown(vendor):
    config = from_environment({f"{vendor}_CLIENT_ID": " id ", f"{vendor}_CLIENT_SECRET": "s3cret"})
    assert getattr(config, f"{vendor.lower()}_client_id") == "id"
    assert getattr(config, f"{vendor.lower()}_client_secret") == "s3cret"
    assert "s3cret" not in repr(config)


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize("half", ["CLIENT_ID", "CLIENT_SECRET"])
def test_half_of_an_apps_keys_is_a_mistake(vendor, half):
    with pytest.raises(Misconfigured, match=f"{vendor}_CLIENT_ID and {vendor}_CLIENT_SECRET must be set together"):
        from_environment({f"{vendor}_{half}": "x"})


def test_every_mistake_is_named_at_once():
    with pytest.raises(Misconfigured) as caught:
        from_environment({"AMOCRM_CLIENT_ID": "x", "HUBSPOT_OAUTH_URL": "ftp://x", "BITRIX24_OAUTH_URL": "oauth"})
    for name in ("AMOCRM_CLIENT_SECRET", "HUBSPOT_OAUTH_URL", "BITRIX24_OAUTH_URL"):
        assert name in str(caught.value)


def test_without_settings_there_are_no_apps_and_the_vendors_own_addresses():
    config = from_environment({})
    for vendor in VENDORS:
        assert getattr(config, f"{vendor.lower()}_client_id") is None
        assert getattr(config, f"{vendor.lower()}_oauth_url") is None
