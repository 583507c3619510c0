"""Events of a portal: a form to every bound handler, with the record's id and nothing of what changed.

https://apidocs.bitrix24.com/api-reference/events/index.html (read 2026-11). Events made here are "system" ones: they
carry no tokens, as those of robots do.
"""

from __future__ import annotations

from functools import partial
from itertools import count

from sandbox.bitrix24.oauth import Bitrix24OAuth
from sandbox.bitrix24.state import State
from sandbox.deliveries import Postman
from sandbox.posting import post_form

_PATIENCE_S = 5.0


class Letters:
    """What a portal posts to the handlers of the app."""

    def __init__(self, state: State, oauth: Bitrix24OAuth, postman: Postman) -> None:
        self._state = state
        self._oauth = oauth
        self._postman = postman
        self._numbers = count(1)

    def tell(self, event: str, record_id: int) -> None:
        """Post an event of a record to those who bound it."""
        for bound, handler in list(self._state.handlers):
            if bound == event:
                form = self._oauth.record_form(event, record_id, next(self._numbers))
                self._postman.take(partial(post_form, handler, form, _PATIENCE_S))
