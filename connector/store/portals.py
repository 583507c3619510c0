"""Portals: the installed CRM accounts, their settings and their audit trail."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from connector.errors import PortalPaused, UnknownPortal, WrongUse
from connector.store import audit
from connector.store.models import Base, BudgetRow, Portal

note = audit.note


def all_portals(session: Session) -> Sequence[Portal]:
    """Every portal, by name."""
    return session.scalars(select(Portal).order_by(Portal.name)).all()


def portal_named(session: Session, name: str) -> Portal:
    """The portal of that name; raises `UnknownPortal` naming the ones there are."""
    portal = session.scalar(select(Portal).where(Portal.name == name))
    if portal is None:
        names = ", ".join(session.scalars(select(Portal.name).order_by(Portal.name))) or "none is connected yet"
        raise UnknownPortal(f"there is no portal named {name!r} (there are: {names})")
    return portal


def working_portal(session: Session, name: str) -> Portal:
    """The portal of that name, if it may be worked on; raises `PortalPaused` or `WrongUse`."""
    portal = portal_named(session, name)
    if portal.state == "disconnected":
        raise WrongUse(f"{name} is disconnected: connect it again first")
    if portal.state == "paused":
        raise PortalPaused(f"{name} is paused: {portal.state_reason or 'no reason is kept'}; connect it again")
    return portal


def portal_of_account(session: Session, crm: str, account_id: str) -> Portal | None:
    """The portal of a CRM account, whatever its name."""
    return session.scalar(select(Portal).where(Portal.crm == crm, Portal.account_id == account_id))


def pause(session: Session, portal_id: int, reason: str) -> None:
    """Stop working on a portal until a person acts; kept in the audit trail. One that does not work stays as it is."""
    portal = session.get_one(Portal, portal_id, with_for_update=True, populate_existing=True)
    if portal.state != "active":
        return
    portal.state, portal.state_reason = "paused", reason
    note(session, portal_id, audit.SYSTEM, "portal.paused", {"reason": reason})


def erase(session: Session, portal: Portal, budget_key: str | None) -> None:
    """Remove every row of a portal, the portal itself included."""
    for table in Base.metadata.tables.values():
        if "portal_id" in table.c and table.name != Portal.__tablename__:
            session.execute(table.delete().where(table.c.portal_id == portal.portal_id))
    if budget_key is not None:
        session.execute(delete(BudgetRow).where(BudgetRow.portal_key == budget_key))
    session.delete(portal)
