from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from connector.sla.people import Absence
from connector.sla.playbook import load_playbook
from connector.sla.policy import WorkClass
from connector.sla.texts import Facts, write_text
from connector.wording import Language

FACTS = Facts(
    on=date(2025, 11, 24),
    recency=191,
    frequency=12,
    monetary=Decimal("1234.50"),
    currency="RUB",
    window_days=365,
    quality=80,
)
PLAYBOOK = load_playbook()
OCCASIONS = [(event.rule, name) for event in PLAYBOOK.events for name in sorted(event.to_classes or WorkClass)]
OCCASIONS += [(rule.rule, name) for rule in PLAYBOOK.cadences for name in sorted(rule.classes)]
SIGNALLED = [(rule.rule, name) for rule in PLAYBOOK.plays.signals for name in sorted(rule.classes)]
LABELS = (
    "vip", "loyal", "promising", "at risk", "at_risk", "sleeping", "champion", "potential", "attention needed",
    "price sensitive", "lost", "segment", "score", "rfm",
    "вип", "лояльн", "перспективн", "риск", "спящ", "чемпион", "потенциальн", "потерян", "сегмент", "балл",
)  # fmt: skip


@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize(("rule", "work_class"), OCCASIONS + SIGNALLED)
def test_every_occasion_says_what_happened_why_the_first_step_and_what_to_offer(rule, work_class, language):
    text = write_text(rule, work_class, replace(FACTS, before=30.0, now=91.0), language)
    heads = [line.partition(":")[0] for line in text.body.splitlines()]
    expected = {
        "ru": ["Что случилось", "Почему важно", "Первый шаг", "Что предложить"],
        "en": ["What happened", "Why it matters", "First step", "What to offer"],
    }
    assert heads[:4] == expected[language]
    assert text.title
    assert "\n" not in text.title
    assert not {"{", "}"} & set(text.title + text.body)


@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize(("rule", "work_class"), OCCASIONS + SIGNALLED)
def test_no_text_names_a_segment(rule, work_class, language):
    text = write_text(
        rule, work_class, replace(FACTS, softened=True, absence=Absence.UNKNOWN, before=6.0, now=2.0), language
    )
    words = f"{text.title}\n{text.body}".lower()
    assert [label for label in LABELS if label in words] == []


def test_the_facts_are_in_good_russian():
    body = write_text("left_loyal", "at_risk", FACTS, "ru").body
    assert "Последний заказ — 17 мая 2025 (191 день назад)." in body
    assert "За последние 365 дней — 12 заказов на 1 234,50 ₽." in body


def test_the_facts_are_in_good_english():
    body = write_text("left_loyal", "at_risk", replace(FACTS, currency="USD", frequency=1), "en").body
    assert "Last order: 17 May 2025 (191 days ago)." in body
    assert "In the last 365 days: 1 order worth $1,234.50." in body


@pytest.mark.parametrize(
    ("recency", "russian", "english"),
    [
        (0, "(сегодня)", "(today)"),
        (1, "(вчера)", "(yesterday)"),
        (2, "(2 дня назад)", "(2 days ago)"),
        (11, "(11 дней назад)", "(11 days ago)"),
        (21, "(21 день назад)", "(21 days ago)"),
        (1500, "(1 500 дней назад)", "(1,500 days ago)"),
    ],
)
def test_the_last_order_is_so_many_days_ago(recency, russian, english):
    facts = replace(FACTS, recency=recency)
    assert russian in write_text("soft_touch", "sleeping", facts, "ru").body
    assert english in write_text("soft_touch", "sleeping", facts, "en").body


@pytest.mark.parametrize(
    ("window", "orders", "russian", "english"),
    [
        (1, 1, "За последний 1 день — 1 заказ на", "In the last day: 1 order worth"),
        (22, 3, "За последние 22 дня — 3 заказа на", "In the last 22 days: 3 orders worth"),
        (31, 21, "За последний 31 день — 21 заказ на", "In the last 31 days: 21 orders worth"),
        (730, 0, "За последние 730 дней заказов не было.", "In the last 730 days: no orders."),
    ],
)
def test_the_history_is_a_sentence_for_any_window(window, orders, russian, english):
    facts = replace(FACTS, window_days=window, frequency=orders)
    assert russian in write_text("return_plan", "at_risk", facts, "ru").body
    assert english in write_text("return_plan", "at_risk", facts, "en").body


def test_a_poor_history_is_to_be_checked_first():
    facts = replace(FACTS, quality=35, softened=True)
    first = write_text("return_plan", "at_risk", facts, "ru").body.splitlines()[0]
    assert first.startswith("Сначала проверьте историю заказов")
    assert "35 из 100" in first
    assert "quality 35 of 100" in write_text("return_plan", "at_risk", facts, "en").body.splitlines()[0]
    assert "проверьте историю" not in write_text("return_plan", "at_risk", FACTS, "ru").body


@pytest.mark.parametrize("language", Language)
def test_whoever_stands_in_is_told_why(language):
    lines = {
        absence: write_text("soft_touch", "sleeping", replace(FACTS, absence=absence), language).body.splitlines()[-1]
        for absence in (None, *Absence)
    }
    assert len(set(lines.values())) == len(lines)


def test_the_customer_who_is_back_only_on_paper_gets_another_text():
    back, on_paper = (write_text("came_back", name, FACTS, "ru") for name in ("loyal", "at_risk"))
    assert "снова сделал заказ" in back.body
    assert "снова сделал заказ" not in on_paper.body


def test_a_signal_tells_its_figures_in_good_words():
    fewer = write_text("frequency_fell", "vip", replace(FACTS, before=5.0, now=1.0), "ru").body
    assert "За последние три месяца — 1 заказ, за три месяца до них — 5 заказов." in fewer
    smaller = write_text("amount_fell", "vip", replace(FACTS, currency="USD", before=1234.5, now=600.0), "en").body
    assert "A usual order was about $1,234.50, the last three are about $600.00." in smaller
    late = write_text("last_call", "at_risk", replace(FACTS, before=30.4, now=91.0), "ru").body
    assert "раз в 30 дней, а молчит уже 91 день." in late


def test_a_rule_without_texts_is_refused():
    with pytest.raises(ValueError, match="hard_touch"):
        write_text("hard_touch", "vip", FACTS, "ru")
    with pytest.raises(ValueError, match="de"):
        write_text("soft_touch", "sleeping", FACTS, "de")
