from __future__ import annotations

from datetime import UTC, datetime

import pytest

from sandbox.clock import ManualClock
from sandbox.grants import Consent, Grants, Lives
from sandbox.web import CutConnection

NOW = datetime(2026, 11, 24, 9, tzinfo=UTC)
CONSENT = Consent(1, ("crm",))


def grants(*, rotates=True, refresh_s=1000.0) -> tuple[Grants, ManualClock]:
    clock = ManualClock(NOW)
    return Grants(clock, Lives(code_s=30, access_s=60, refresh_s=refresh_s), rotates=rotates), clock


@pytest.mark.parametrize(("seconds", "lives"), [(0, True), (29.9, True), (30, False)])
def test_a_code_lives_its_time(seconds, lives):
    some, clock = grants()
    code = some.new_code(CONSENT)
    clock.advance(seconds)
    assert (some.redeem(code) == CONSENT) is lives


def test_a_code_works_once():
    some, _clock = grants()
    code = some.new_code(CONSENT)
    assert some.redeem(code) == CONSENT
    assert some.redeem(code) is None


def test_an_access_token_lives_its_time_and_is_remembered_afterwards():
    some, clock = grants()
    pair = some.issue(CONSENT)
    clock.advance(59)
    assert some.is_live(pair.access)
    clock.advance(1)
    assert not some.is_live(pair.access)
    assert some.pair_of(pair.access) == pair
    assert not some.is_live("")


def test_a_used_refresh_token_is_dead_and_each_further_use_is_counted():
    some, _clock = grants()
    old = some.issue(CONSENT)
    fresh = some.refresh(old.refresh)
    assert fresh is not None
    assert [some.refresh(old.refresh), some.refresh(old.refresh), some.refresh("invented")] == [None, None, None]
    assert (some.refreshes, some.double_refreshes) == (1, 2)
    assert some.refresh(fresh.refresh) is not None


def test_a_refresh_token_that_does_not_rotate_works_again():
    some, _clock = grants(rotates=False)
    old = some.issue(CONSENT)
    found = [some.refresh(old.refresh) for _ in range(3)]
    assert {pair.refresh for pair in found if pair} == {old.refresh}
    assert len({pair.access for pair in found if pair}) == 3
    assert (some.refreshes, some.double_refreshes) == (3, 0)


@pytest.mark.parametrize(("refresh_s", "lives"), [(1000.0, False), (None, True)])
def test_a_refresh_token_may_have_an_end(refresh_s, lives):
    some, clock = grants(refresh_s=refresh_s)
    old = some.issue(CONSENT)
    clock.advance(1000)
    assert (some.refresh(old.refresh) is not None) is lives
    assert some.double_refreshes == 0


def test_a_lost_answer_means_that_the_work_is_done():
    some, _clock = grants()
    old = some.issue(CONSENT)
    some.loses = 1
    with pytest.raises(CutConnection):
        some.refresh(old.refresh)
    assert some.refresh(old.refresh) is None
    assert (some.refreshes, some.double_refreshes) == (1, 1)


def test_expiring_spares_refresh_tokens_revoking_spares_access_tokens_and_removal_spares_nothing():
    some, _clock = grants()
    pair = some.issue(CONSENT)
    some.expire()
    assert not some.is_live(pair.access)
    fresh = some.refresh(pair.refresh)
    assert fresh is not None
    some.revoke(fresh.refresh)
    assert some.is_live(fresh.access)
    assert some.refresh(fresh.refresh) is None
    last, code = some.issue(CONSENT), some.new_code(CONSENT)
    some.revoke_all()
    assert not some.is_live(last.access)
    assert some.refresh(last.refresh) is None
    assert some.redeem(code) is None
