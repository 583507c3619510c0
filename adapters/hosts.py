"""Which hosts we call: the vendors' own and those the operator named. Nothing else, on any way."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from adapters.errors import CRMError
from adapters.records import CRM

_VENDOR_HOSTS = {
    CRM.HUBSPOT: re.compile(r"(api(-eu1|-na2|-na3|-ap1)?\.hubapi\.com|api\.hubspot\.com)"),
    CRM.AMOCRM: re.compile(r"[a-z0-9-]+\.(amocrm\.(ru|com)|kommo\.com)"),
    CRM.BITRIX24: re.compile(
        r"[a-z0-9-]+\.bitrix24\.[a-z]{2,3}(\.[a-z]{2})?|oauth\.bitrix\.info|oauth\.bitrix24\.tech"
    ),
}


class HostRefused(CRMError):
    """The address is not one of the vendor's and not in ALLOWED_CRM_HOSTS."""


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class HostPolicy:
    """`extra` has hosts or host:port pairs beside the vendors' own (setting ALLOWED_CRM_HOSTS)."""

    extra: frozenset[str] = frozenset()

    def check(self, crm: CRM, url: str) -> None:
        """Raise `HostRefused` unless the URL may be called; plain http only for loopback addresses in `extra`."""
        try:
            parts = urlsplit(url)
            host, port = (parts.hostname or "").lower(), parts.port
        except ValueError:
            raise HostRefused("the address of the CRM is not a URL: write it like https://example.amocrm.ru") from None
        if parts.scheme not in {"https", "http"} or not host:
            raise HostRefused("the address of the CRM is not a URL: write it like https://example.amocrm.ru")
        if parts.username or parts.password:
            raise HostRefused("the address of the CRM must not carry a user name or a password")
        named = host in self.extra or (port is not None and _with_port(host, port) in self.extra)
        if parts.scheme == "http" and not (named and _is_loopback(host)):
            raise HostRefused(f"{host} must be called over https")
        if not named and not (port in {None, 443} and _VENDOR_HOSTS[crm].fullmatch(host)):
            raise HostRefused(
                f"{host} is not an address of {crm.value}; if it is your own installation, add it to ALLOWED_CRM_HOSTS"
            )


def _with_port(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
