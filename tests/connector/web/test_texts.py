from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from importlib.resources import files
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from connector.web.texts import choose_language, texts_in
from connector.wording import Language

RU, EN = texts_in(Language.RU), texts_in(Language.EN)
COMPOSED = (
    "crm.", "kind.", "state.", "state_text.", "count.", "empty.", "error.", "segments.", "customers.order_", "runs.",
    "tasks.", "delivery_part.", "delivery_cause.", "delivery_by.", "backtest.",
    "customer.axis_", "customer.order_", "quality.about_", "methods.",
    "whatif.", "progress.", "work.by_", "work_state.", "work_class.",
)  # fmt: skip


def placeholders(entry: object) -> set[str]:
    return set(re.findall(r"{(\w+)}", entry if isinstance(entry, str) else " ".join(entry)))


def test_both_languages_have_the_same_keys():
    assert RU.entries.keys() == EN.entries.keys()


@pytest.mark.parametrize("key", EN.entries)
def test_both_languages_fill_in_the_same_values(key):
    assert placeholders(RU.entries[key]) == placeholders(EN.entries[key])


@pytest.mark.parametrize("key", [key for key, entry in EN.entries.items() if not isinstance(entry, str)])
def test_counted_words_have_the_forms_of_their_language(key):
    assert (len(RU.entries[key]), len(EN.entries[key])) == (3, 2)


def test_every_text_is_used_somewhere():
    def sources() -> Iterator[str]:
        for path in Path(str(files("connector.web"))).rglob("*"):
            if path.suffix in {".html", ".py"}:
                yield path.read_text(encoding="utf-8")

    used = "\n".join(sources())
    unused = [key for key in EN.entries if f'"{key}"' not in used and f"'{key}'" not in used]
    assert [key for key in unused if not key.startswith(COMPOSED)] == []


def test_a_number_goes_with_the_right_form():
    assert RU.counted("customers", 1021) == "1\u00a0021\u00a0клиент"
    assert RU.counted("of_customers", 22) == "22\u00a0клиентов"
    assert EN.counted("customers", 1) == "1\u00a0customer"


def test_a_word_without_a_number_and_a_number_without_a_word_are_refused():
    with pytest.raises(TypeError, match="counted"):
        EN("count.customers")
    with pytest.raises(KeyError):
        EN("no.such")


@pytest.mark.parametrize(
    ("part", "whole", "english", "russian"),
    [
        (33, 89, "37%", "37\u00a0%"),
        (1, 1000, "<1%", "<1\u00a0%"),
        (0, 10, "0%", "0\u00a0%"),
        (10, 10, "100%", "100\u00a0%"),
        (5, 0, "0%", "0\u00a0%"),
        (Decimal(-1), Decimal(4), "-25%", "-25\u00a0%"),
    ],
)
def test_shares_are_whole_and_never_round_something_to_nothing(part, whole, english, russian):
    assert (EN.percent(part, whole), RU.percent(part, whole)) == (english, russian)


def test_a_moment_says_whose_clock_it_is_where_zones_meet():
    moment = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
    assert EN.moment(moment, ZoneInfo("Europe/Moscow")) == "24\u00a0November\u00a02026,\u00a015:00"
    assert EN.moment(moment, ZoneInfo("Europe/Moscow"), named=True).endswith("15:00\u00a0MSK")


def test_names_are_listed_with_an_and():
    assert EN.listed(["VIP"]) == "VIP"
    assert RU.listed(["VIP", "Лояльные", "Новые"]) == "VIP, Лояльные и Новые"


@pytest.mark.parametrize(
    ("asked", "accepted", "chosen"),
    [
        (("ru", "en"), ["en"], Language.RU),
        ((None, "ru"), ["en"], Language.RU),
        ((None, None), ["de", "RU-ru", "en"], Language.RU),
        (("de", "<script>"), [], Language.EN),
    ],
)
def test_the_first_wish_we_can_fulfil_counts(asked, accepted, chosen):
    assert choose_language(asked, accepted) is chosen
