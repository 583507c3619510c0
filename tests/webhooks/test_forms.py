"""PHP forms: what they mean, and what hostile ones may not do."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhooks import forms
from webhooks.errors import Unreadable


@pytest.mark.parametrize(
    ("body", "tree"),
    [
        (b"", {}),
        (b"&&", {}),
        (b"a=1&b=2", {"a": "1", "b": "2"}),
        (b"a[b][0][c]=v", {"a": {"b": {"0": {"c": "v"}}}}),
        (b"a%5Bb%5D=v", {"a": {"b": "v"}}),
        (b"a[]=x&a[]=y", {"a": {"0": "x", "1": "y"}}),
        (b"a[][id]=1&a[][id]=2", {"a": {"0": {"id": "1"}, "1": {"id": "2"}}}),
        (b"a=1&a=2", {"a": "2"}),
        (b"a", {"a": ""}),
        (b"a=b=c", {"a": "b=c"}),
        (b"a+b=c+d", {"a b": "c d"}),
        (b"a=%D0%BA%D0%BB%D1%8E%D1%87", {"a": "ключ"}),
        ("a=ключ".encode(), {"a": "ключ"}),
        (b"a=%zz%", {"a": "%zz%"}),
        (b"a[b=1&]=2&[x]=3", {"a[b": "1", "]": "2", "[x]": "3"}),
        (b"a[b]c=1", {"a[b]c": "1"}),
        (b"a[99999999999999999999]=x", {"a": {"99999999999999999999": "x"}}),
    ],
)
def test_form_is_read_as_php_wrote_it(body: bytes, tree: object) -> None:
    assert forms.parse(body) == tree


@pytest.mark.parametrize(
    ("body", "tree"),
    [
        (b"a=1&a[b]=2", {"a": "1"}),
        (b"a[b]=2&a=1", {"a": {"b": "2"}}),
        (b"a[b][c]=2&a[b]=1", {"a": {"b": {"c": "2"}}}),
        (b"a[b]=1&a[b][c][d]=2", {"a": {"b": "1"}}),
        (b"a[1]=x&a[]=y", {"a": {"1": "x"}}),
    ],
)
def test_key_that_clashes_with_an_earlier_one_is_ignored(body: bytes, tree: object) -> None:
    assert forms.parse(body) == tree


@pytest.mark.parametrize(
    "body",
    [
        b"a" + b"[x]" * forms.MAX_DEPTH + b"=1",
        b"a" + b"[]" * 200 + b"=1",
        b"k" * (forms.MAX_KEY + 1) + b"=1",
        b"a&" * forms.MAX_PAIRS,
        b"a=%ff",
        b"%ff=a",
        b"\xff\xfe",
        b"a=\xd0",
        b"a=%ed%a0%80",
    ],
)
def test_form_beyond_a_bound_or_in_another_encoding_is_unreadable(body: bytes) -> None:
    with pytest.raises(Unreadable):
        forms.parse(body)


def test_form_just_within_the_bounds_is_read() -> None:
    assert forms.parse(b"a" + b"[x]" * (forms.MAX_DEPTH - 1) + b"=1")
    assert forms.parse(b"k" * forms.MAX_KEY + b"=1")


@pytest.mark.parametrize(
    ("content_type", "text"),
    [
        ("application/x-www-form-urlencoded; charset=windows-1251", "ключ"),
        ('application/x-www-form-urlencoded; charset="Windows-1251"', "ключ"),
        ("application/x-www-form-urlencoded;charset=iso-8859-1", "êëþ÷"),
    ],
)
def test_charset_of_old_portals_is_honoured(content_type: str, text: str) -> None:
    assert forms.parse(b"a=%EA%EB%FE%F7", content_type) == {"a": text}


@pytest.mark.parametrize("charset", ["utf-7", "utf-16", "idna", "hex", "zlib", "klingon", "undefined"])
def test_other_charsets_count_as_utf8(charset: str) -> None:
    assert forms.parse(b"a=%D0%BA", f"application/x-www-form-urlencoded; charset={charset}") == {"a": "к"}


def test_readers_of_a_tree_never_fail() -> None:
    tree = forms.parse(b"a[b][c]=1&a[b][d][e]=2&f=3&r[0][id]=4&r[1]=5&r[7][id]=6")
    assert forms.text(tree, "a", "b", "c") == "1"
    assert forms.text(tree, "a", "b") is None
    assert forms.text(tree, "f", "g", "h") is None
    assert forms.branch(tree, "a", "x") == {}
    assert [forms.text(row, "id") for row in forms.rows(tree, "r")] == ["4", "6"]


def test_worst_form_within_the_body_limit_costs_little() -> None:
    appends = b"&".join(b"a[%d]=" % n for n in range(30_000, 60_000)) + b"&a[]=" * 39_999
    started = time.process_time()
    forms.parse(appends)
    assert time.process_time() - started < 5


@given(st.binary(max_size=300), st.text(max_size=60))
def test_any_bytes_are_a_tree_or_unreadable(body: bytes, content_type: str) -> None:
    try:
        tree = forms.parse(body, content_type)
    except Unreadable:
        return
    assert isinstance(tree, dict)


_KEYS = st.lists(st.sampled_from(["a", "b", "0", "1", ""]), min_size=1, max_size=5)


@given(st.lists(st.tuples(_KEYS, st.sampled_from(["x", "y"])), max_size=25))
def test_clashing_keys_keep_the_shape_of_the_first(pairs: list[tuple[list[str], str]]) -> None:
    body = "&".join("r" + "".join(f"[{part}]" for part in key) + f"={value}" for key, value in pairs)
    tree = forms.parse(body.encode())
    if pairs:
        key, _ = pairs[0]
        here = forms.branch(tree, "r", *(part or "0" for part in key[:-1]))
        assert isinstance(here[key[-1] or "0"], str)
