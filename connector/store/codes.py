"""Codes of installations that came without a browser, from their arrival until a portal is made of them."""

from __future__ import annotations

import hashlib
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from adapters.records import CRM
from connector.store.models import InstallCodeRow

MOST = 1_000
"""Codes cannot be proven before they are exchanged, so strangers may send some: no more than these wait at once."""


def keep(session: Session, crm: CRM, code: str, sealed: bytes, now: datetime) -> bool:
    """Keep a code; one that waits already stays as it is. Returns False when too many wait."""
    if (session.scalar(select(func.count()).select_from(InstallCodeRow)) or 0) >= MOST:
        return False
    portal_key = f"{crm.value}:{hashlib.sha256(code.encode()).hexdigest()}"
    row = {"portal_key": portal_key, "crm": crm.value, "sealed": sealed, "received_at": now, "not_before": now}
    session.execute(insert(InstallCodeRow).values(row).on_conflict_do_nothing())
    return True


def take(session: Session, now: datetime) -> InstallCodeRow | None:
    """The code that has waited longest and is to be tried now, held until the transaction ends."""
    return session.scalar(
        select(InstallCodeRow)
        .where(InstallCodeRow.not_before <= now)
        .order_by(InstallCodeRow.received_at)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
