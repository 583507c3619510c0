"""What customers were before, for methods that hold them in their segments: the same for a run and for an event."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from connector.scores.counting import Counted
from connector.scores.moments import Moment
from connector.store import stages
from scoring.methods import MethodVersion, Previous
from scoring.stability import NOBODY


def previous_of(
    session: Session,
    portal_id: int,
    version: MethodVersion,
    counted: Counted,
    moment: Moment,
    only: NDArray[np.int64] | None = None,
) -> Previous | None:
    """The previous scores in the summary's order, by the same version; None where no rule asks for them.

    A customer whom nothing is known of is new, and so is everybody to a version that was just published: its
    thresholds hold from its first run on, its rules of stability from the second. Since when he is in his segment, and
    what his orders were then, is what the scores say: it does not matter how often he was scored in between.
    """
    if not version.method.stability.active or counted.orders_sum is None:
        return None
    grid = version.method.grid
    segments = [segment.value for segment in version.method.segments]
    numbers = None if only is None else only.tolist()
    known = stages.before(session, portal_id, version.label, grid.codes, segments, moment.number, numbers)
    size = len(counted.summary)
    if not len(known.customer):
        return Previous.none(size)
    at = np.minimum(np.searchsorted(known.customer, counted.summary.number), len(known.customer) - 1)
    is_known = (known.customer[at] == counted.summary.number) & (known.cell[at] >= 0) & (known.segment[at] >= 0)
    digits = np.array(grid.cells, np.int8)[np.where(is_known, known.cell[at], 0)]
    before = known.orders_sum[at]
    return Previous(
        r=np.where(is_known, digits[:, 0], 0).astype(np.int8),
        f=np.where(is_known, digits[:, 1], 0).astype(np.int8),
        m=np.where(is_known, digits[:, 2], 0).astype(np.int8),
        segment=np.where(is_known, known.segment[at], NOBODY).astype(np.int8),
        held_days=np.where(is_known, moment.number - known.segment_on[at], 0).astype(np.int32),
        new_order=~is_known | ((before != 0) & (before != counted.orders_sum)),
    )
