from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from connector.sla.calendars import calendar_from
from connector.sla.policy import Policy, WorkClass, policy_from

MOSCOW = ZoneInfo("Europe/Moscow")
CALENDAR = calendar_from({}, MOSCOW)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=MOSCOW).astimezone(UTC)


# 2025-11-24 is a Monday.
@pytest.mark.parametrize(
    ("work_class", "raised", "due", "due_with_poor_history"),
    [
        ("vip", "2025-11-24 10:00", "2025-11-24 11:00", "2025-11-24 12:00"),
        ("vip", "2025-11-24 17:30", "2025-11-25 09:30", "2025-11-25 10:30"),
        ("loyal", "2025-11-21 17:00", "2025-11-21 18:00", "2025-11-24 10:00"),
        ("loyal", "2025-11-22 03:00", "2025-11-24 10:00", "2025-11-24 11:00"),
        ("promising", "2025-11-24 10:00", "2025-11-24 18:00", "2025-11-25 18:00"),
        ("promising", "2025-11-24 03:00", "2025-11-24 18:00", "2025-11-25 18:00"),
        ("promising", "2025-11-24 18:00", "2025-11-25 18:00", "2025-11-26 18:00"),
        ("promising", "2025-11-21 20:00", "2025-11-24 18:00", "2025-11-25 18:00"),
        ("at_risk", "2025-11-24 10:00", "2025-11-25 10:00", "2025-11-26 10:00"),
        ("at_risk", "2025-11-24 18:00", "2025-11-25 18:00", "2025-11-26 18:00"),
        ("at_risk", "2025-11-24 20:00", "2025-11-26 09:00", "2025-11-27 09:00"),
        ("at_risk", "2025-11-21 10:00", "2025-11-24 09:00", "2025-11-24 09:00"),
        ("sleeping", "2025-11-24 10:00", "2025-11-28 18:00", "2025-12-05 18:00"),
        ("sleeping", "2025-11-26 19:00", "2025-12-03 18:00", "2025-12-10 18:00"),
    ],
)
def test_each_class_has_the_term_of_the_contract_doubled_below_quality_40(
    work_class, raised, due, due_with_poor_history
):
    policy = policy_from({})
    assert policy.due_at(work_class, at(raised), CALENDAR, quality=40) == at(due)
    assert policy.due_at(work_class, at(raised), CALENDAR, quality=39) == at(due_with_poor_history)


def test_hours_become_business_hours_by_a_setting():
    policy = policy_from({"sla": {"business_hours": True}})
    # 24 business hours are two days of nine hours and six hours more.
    assert policy.due_at("at_risk", at("2025-11-24 10:00"), CALENDAR) == at("2025-11-26 16:00")


def test_every_number_can_be_overridden():
    policy = policy_from(
        {
            "sla": {
                "vip": {"minutes": 15},
                "loyal": {"hours": 3},
                "promising": {"working_days": 2},
                "at_risk": {"hours": 72},
                "sleeping": {"minutes": 90},
                "low_quality_below": 70,
            }
        }
    )
    raised = at("2025-11-24 10:00")
    due = {name: policy.due_at(name, raised, CALENDAR, quality=70) for name in WorkClass}
    assert due == {
        "vip": at("2025-11-24 10:15"),
        "loyal": at("2025-11-24 13:00"),
        "promising": at("2025-11-25 18:00"),
        "at_risk": at("2025-11-27 10:00"),
        "sleeping": at("2025-11-24 11:30"),
    }
    assert policy.is_softened(69)


def test_one_override_leaves_the_other_terms_alone():
    assert policy_from({"sla": {"vip": {"minutes": 15}}}).terms["loyal"] == Policy().terms["loyal"]


@pytest.mark.parametrize(
    ("sla", "sentence"),
    [
        ([60], "sla: a mapping"),
        ({"gold": {"minutes": 5}}, "sla: nothing is known of gold"),
        ({"vip": 60}, "sla: vip needs one of minutes, hours, working_days"),
        ({"vip": {"minutes": 5, "hours": 1}}, "sla: vip needs one of"),
        ({"vip": {"days": 5}}, "sla: vip needs one of"),
        ({"vip": {"minutes": 0}}, "sla: vip minutes: 0 is no whole number of at least 1"),
        ({"vip": {"minutes": "60"}}, "sla: vip minutes: '60' is no whole number"),
        ({"business_hours": "yes"}, "sla: business_hours is either true or false"),
        ({"low_quality_below": -1}, "sla: low_quality_below: -1 is no whole number of at least 0"),
    ],
)
def test_a_term_that_makes_no_sense_is_named_in_a_sentence(sla, sentence):
    with pytest.raises(ValueError, match=sentence):
        policy_from({"sla": sla})


def test_a_class_nobody_works_is_refused():
    with pytest.raises(ValueError, match="champion"):
        Policy().due_at("champion", at("2025-11-24 10:00"), CALENDAR)
