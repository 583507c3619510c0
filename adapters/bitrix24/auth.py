"""What connects a portal: the inbound webhook, whose URL is the secret.

Form of the URL: https://apidocs.bitrix24.com/local-integrations/local-webhooks.html (read 2026-11).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from adapters.contract import PortalAccess
from adapters.records import CRM

_PATH = re.compile(r"(?P<base>/rest/(?P<user>[0-9]+)/(?P<secret>[A-Za-z0-9_-]+))(/(?P<method>[A-Za-z0-9._]*))?/?")
_EXAMPLE = "https://example.bitrix24.com/rest/1/xxxxxxxxxxxxxxxx/"


@dataclass(frozen=True, slots=True)
class Webhook:
    """An inbound webhook. `base_url` ends with a slash and is a secret as a whole; `origin` is not."""

    base_url: str = field(repr=False)
    origin: str
    user_id: str

    @property
    def host(self) -> str:
        """Host, with the port where one was given."""
        return urlsplit(self.origin).netloc

    @property
    def path(self) -> str:
        """The secret part, by which a renamed portal is recognised as the same."""
        return urlsplit(self.base_url).path


def read_webhook(text: str) -> Webhook:
    """The webhook in what a person pasted: a method name at the end and a missing slash are put right.

    Raises `ValueError` with a sentence that never repeats the text.
    """
    try:
        parts = urlsplit(text.strip())
        netloc, port = parts.netloc.lower(), parts.port
    except ValueError:
        raise ValueError(f"the webhook is not a URL: copy it whole, it looks like {_EXAMPLE}") from None
    if parts.scheme not in {"https", "http"} or not parts.hostname:
        raise ValueError(f"the webhook is not a URL: copy it whole, it looks like {_EXAMPLE}")
    if "@" in netloc:
        raise ValueError("the webhook URL must not carry a user name or a password")
    if port == 443 and parts.scheme == "https":
        netloc = netloc.removesuffix(":443")
    match = _PATH.fullmatch(parts.path)
    if match is None:
        raise ValueError(f"the URL is no inbound webhook: its path must be like in {_EXAMPLE}")
    origin = f"{parts.scheme}://{netloc}"
    return Webhook(f"{origin}{match['base']}/", origin, match["user"])


def access_from_input(webhook_url: str) -> PortalAccess:
    """How to reach the portal whose inbound webhook URL a person pasted; raises `ValueError`."""
    return PortalAccess(CRM.BITRIX24, read_webhook(webhook_url).base_url)
