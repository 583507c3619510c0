"""How many customers each score of R, F and M holds under frozen thresholds: "the top fifth" that became a third."""

from __future__ import annotations

import numpy as np
from sqlalchemy.orm import Session

from connector.scores.counting import count_portal
from connector.scores.moments import Moment
from connector.store import scores
from connector.store.models import Portal
from scoring.methods import MethodVersion, score


def score_shares(session: Session, portal: Portal, moment: Moment, version: MethodVersion) -> dict[str, list[float]]:
    """Axis → shares of the scores from 1 up, of all scored customers; empty lists where nobody is scored."""
    flags = scores.customer_flags(session, portal.portal_id)
    counted = count_portal(session, portal.portal_id, moment, version.method, flags)
    found = score(version, counted.summary)
    total = len(counted.summary)
    return {
        axis: [
            round(count / total, 4)
            for count in np.bincount(getattr(found, axis), minlength=version.method.bins + 1)[1:].tolist()
        ]
        if total
        else []
        for axis in ("r", "f", "m")
    }
