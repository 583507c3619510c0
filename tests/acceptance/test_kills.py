"""The process is killed again and again, at random moments of runs that have work to do: nothing is lost or doubled.

RFM_KILLS sets how many times per CRM.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random

import pytest
from sqlalchemy import text

from connector.store.database import Database
from sandbox.faults import Fault
from sandbox.random_shop import random_shop
from tests.acceptance.brute import expected_cards
from tests.acceptance.stage import CRMS, stage

KILLS = int(os.environ.get("RFM_KILLS", "8"))


@pytest.mark.parametrize("crm", CRMS)
def test_killed_at_random_moments_it_ends_in_the_same_state_with_no_task_twice(crm, database_url, tmp_path):
    now = datetime.now(UTC)
    dice = Random(7)
    shop = random_shop(21, 150, 900, now.date())
    with stage(crm, shop, database_url, tmp_path) as staged:
        staged.portal.faults.switch(Fault.LOST_ANSWER, 0.05)
        longest, kills, day = 4.0, 0, KILLS + 2
        for _ in range(4 * KILLS):
            if kills == KILLS:
                break
            day = max(1, day - 1)
            as_of = (now - timedelta(days=day)).date().isoformat()
            started = time.monotonic()
            if staged.killed(dice.uniform(0.4, longest), "run", "p", "--as-of", as_of):
                kills += 1
            else:
                longest = max(1.0, 0.95 * (time.monotonic() - started))
        assert kills == KILLS
        staged.portal.faults.switch(Fault.LOST_ANSWER, 0)
        staged.run()
        last = staged.run()
        assert (last["written"], last["tasks_created"], last["refused"]) == (0, 0, [])

        frozen = staged.cli("method", "show", "sales5@1", "--portal", "p")["thresholds"]
        borders = [frozen["r"], frozen["f"], [Decimal(border) for border in frozen["m"]]]
        for (kind, number), one in expected_cards(crm, shop, now, borders=borders).items():
            card = staged.card(kind, number)
            assert (card["r"], card["f"], card["m"], card["code"], card["segment"]) == (
                one.r,
                one.f,
                one.m,
                one.code,
                one.segment,
            ), f"{kind}:{number}"

        markers = Counter(staged.markers())
        assert [marker for marker, count in markers.items() if count > 1] == []
        database = Database(database_url)
        with database.session() as session:
            rows = session.execute(text("SELECT state, count(*) FROM tasks GROUP BY state")).all()
            states = {row[0]: row[1] for row in rows}
            doubled = session.scalar(text("SELECT count(*) - count(DISTINCT (customer, rule, event_key)) FROM tasks"))
        database.close()
        assert states == {"created": len(markers)}
        assert doubled == 0
        assert staged.portal.exceeded == 0
