"""The object types this emulator knows, and the numbers HubSpot gives to links between them.

Facts only. Source: developers.hubspot.com, "Understanding the CRM" (type ids) and "Associate records"
(association type ids), read November 2026.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, eq=False)
class Kind:
    """One object type. `modified` is the name of its last-modified property."""

    type_id: str
    singular: str
    plural: str
    defaults: tuple[str, ...]
    modified: str = "hs_lastmodifieddate"
    created: str = "createdate"
    scope: str = ""

    @property
    def always(self) -> tuple[str, str, str]:
        """Properties in every answer, whatever was asked for."""
        return (self.created, self.modified, "hs_object_id")


CONTACT = Kind(
    "0-1",
    "contact",
    "contacts",
    ("createdate", "email", "firstname", "hs_object_id", "lastmodifieddate", "lastname"),
    modified="lastmodifieddate",
)
COMPANY = Kind("0-2", "company", "companies", ("createdate", "domain", "hs_lastmodifieddate", "hs_object_id", "name"))
DEAL = Kind(
    "0-3",
    "deal",
    "deals",
    (
        "amount",
        "closedate",
        "createdate",
        "dealname",
        "dealstage",
        "hs_lastmodifieddate",
        "hs_object_id",
        "pipeline",
    ),
)
PRODUCT = Kind("0-7", "product", "products", ("createdate", "hs_lastmodifieddate", "hs_object_id", "name", "price"))
LINE_ITEM = Kind("0-8", "line_item", "line_items", ("createdate", "hs_lastmodifieddate", "hs_object_id"))
TASK = Kind(
    "0-27",
    "task",
    "tasks",
    ("hs_createdate", "hs_lastmodifieddate", "hs_object_id"),
    created="hs_createdate",
    scope="contacts",  # tasks have no scope of their own
)
_ACTIVITY = ("hs_createdate", "hs_lastmodifieddate", "hs_object_id")


def _activity(type_id: str, singular: str, plural: str, scope: str = "contacts") -> Kind:
    """Activities have no scope of their own but for letters, which need one more."""
    return Kind(type_id, singular, plural, _ACTIVITY, created="hs_createdate", scope=scope)


NOTE = _activity("0-46", "note", "notes")
MEETING = _activity("0-47", "meeting", "meetings")
CALL = _activity("0-48", "call", "calls")
EMAIL = _activity("0-49", "email", "emails")
COMMUNICATION = _activity("0-18", "communication", "communications")
ACTIVITIES = (NOTE, MEETING, CALL, EMAIL, COMMUNICATION)
ORDER = Kind("0-123", "order", "orders", ("createdate", "hs_lastmodifieddate", "hs_object_id"))

KINDS = (CONTACT, COMPANY, DEAL, PRODUCT, LINE_ITEM, TASK, ORDER, *ACTIVITIES)
BY_NAME = {name: kind for kind in KINDS for name in (kind.type_id, kind.singular, kind.plural)}


@dataclass(frozen=True, slots=True, eq=False)
class LinkType:
    """One way to link; `back` is the number of the same link seen from the other side."""

    type_id: int
    back: int
    source: Kind
    target: Kind
    label: str | None = None

    @property
    def name(self) -> str:
        """As list answers write it; the plain link beside a labelled one is called unlabeled."""
        base = f"{self.source.singular}_to_{self.target.singular}"
        labelled = self.label is None and frozenset({self.source, self.target}) in _HAVE_PRIMARY
        return f"{base}_unlabeled" if labelled else base


_HAVE_PRIMARY = (frozenset({CONTACT, COMPANY}), frozenset({DEAL, COMPANY}), frozenset({ORDER, COMPANY}))


def _both(there: int, back: int, source: Kind, target: Kind, label: str | None = None) -> tuple[LinkType, LinkType]:
    return LinkType(there, back, source, target, label), LinkType(back, there, target, source, label)


LINK_TYPES = (
    *_both(279, 280, CONTACT, COMPANY),
    *_both(1, 2, CONTACT, COMPANY, "Primary"),
    *_both(3, 4, DEAL, CONTACT),
    *_both(341, 342, DEAL, COMPANY),
    *_both(5, 6, DEAL, COMPANY, "Primary"),
    *_both(19, 20, DEAL, LINE_ITEM),
    *_both(507, 508, ORDER, CONTACT),
    *_both(934, 935, ORDER, COMPANY),
    *_both(509, 510, ORDER, COMPANY, "Primary"),
    *_both(512, 511, ORDER, DEAL),
    *_both(513, 514, ORDER, LINE_ITEM),
    *_both(204, 203, TASK, CONTACT),
    *_both(192, 191, TASK, COMPANY),
    *_both(216, 215, TASK, DEAL),
    *_both(727, 726, TASK, ORDER),
    *_both(202, 201, NOTE, CONTACT),
    *_both(190, 189, NOTE, COMPANY),
    *_both(214, 213, NOTE, DEAL),
    *_both(194, 193, CALL, CONTACT),
    *_both(182, 181, CALL, COMPANY),
    *_both(206, 205, CALL, DEAL),
    *_both(198, 197, EMAIL, CONTACT),
    *_both(186, 185, EMAIL, COMPANY),
    *_both(210, 209, EMAIL, DEAL),
    *_both(200, 199, MEETING, CONTACT),
    *_both(188, 187, MEETING, COMPANY),
    *_both(212, 211, MEETING, DEAL),
    *_both(81, 82, COMMUNICATION, CONTACT),
    *_both(87, 88, COMMUNICATION, COMPANY),
    *_both(85, 86, COMMUNICATION, DEAL),
)
LINK_BY_ID = {link.type_id: link for link in LINK_TYPES}
DEFAULT_LINK = {(link.source, link.target): link for link in LINK_TYPES if link.label is None}
PRIMARY_LINK = {(link.source, link.target): link for link in LINK_TYPES if link.label == "Primary"}
