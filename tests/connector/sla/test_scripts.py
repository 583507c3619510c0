from __future__ import annotations

from dataclasses import astuple

import pytest

from connector.sla.policy import WorkClass
from connector.sla.scripts import never_say, script_for
from connector.wording import Language
from tests.connector.sla.test_texts import LABELS


@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize("work_class", WorkClass)
def test_every_class_has_a_goal_an_opening_a_proof_an_offer_and_a_next_step(work_class, language):
    parts = astuple(script_for(work_class, language))
    assert len({part.strip() for part in parts if part.strip()}) == 5


@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize("work_class", WorkClass)
def test_no_script_names_a_segment(work_class, language):
    script = script_for(work_class, language)
    said = f"{script.opening} {script.proof} {script.offer} {script.next_step}".lower()
    assert [label for label in LABELS if label in said.replace("без риска", "").replace("without risk", "")] == []


@pytest.mark.parametrize("language", Language)
def test_no_script_hurries_with_a_deadline_of_its_own(language):
    for work_class in WorkClass:
        said = " ".join(astuple(script_for(work_class, language))).lower()
        assert not [word for word in ("только сегодня", "последний день", "only today", "last chance") if word in said]


@pytest.mark.parametrize("language", Language)
def test_what_is_never_said_has_another_way_of_saying_it(language):
    rules = {item.rule for item in never_say(language)}
    assert {"label", "deadline"} <= rules
    assert rules == {item.rule for item in never_say("ru")}
    assert all(item.instead_of and item.say for item in never_say(language))


def test_a_language_without_scripts_is_refused():
    with pytest.raises(ValueError, match="de"):
        script_for(WorkClass.VIP, "de")
