"""What all card pages of a portal share: its name and colours, its language, its addresses."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from urllib.parse import urlencode

from sandbox.cards.style import LOOKS, SHEET
from sandbox.cards.views import KINDS, CardKind, Language
from sandbox.cards.words import WORDS

ROOT = "/sandbox/cards/"
PLURAL = {"company": "companies", "contact": "contacts"}


@dataclass(frozen=True, slots=True)
class Frame:
    """What all pages of one portal share."""

    crm: str
    language: Language

    def word(self, name: str, **values: object) -> str:
        """A word or sentence, safe to put into a page."""
        return escape(WORDS[self.language][name].format(**values))

    def page(self, title: str, body: str, current: CardKind | None = None) -> str:
        """A whole page around its body."""
        look = LOOKS[self.crm]
        tabs = " ".join(
            f'<a href="{ROOT}?kind={kind}"{" aria-current=page" if kind == current else ""}>'
            f"{self.word(PLURAL[kind])}</a>"
            for kind in KINDS
        )
        colours = f"--bar:{look.bar};--accent:{look.accent};--ground:{look.ground};--radius:{look.radius}"
        return (
            f'<!doctype html><html lang="{self.language}"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width,initial-scale=1">'
            f"<title>{escape(title)} · {look.name}</title><style>:root{{{colours}}}{SHEET}</style></head><body>"
            f'<header class="bar"><strong>{look.name}</strong><nav>{tabs}</nav>'
            f"<small>{self.word('notice', crm=look.name)}</small></header><main>{body}</main></body></html>"
        )


def card_path(kind: CardKind, card_id: int, **query: str) -> str:
    """Where a card is, ready for an attribute."""
    return escape(f"{ROOT}{kind}/{card_id}{'?' if query else ''}{urlencode(query)}")
