from datetime import datetime

import pytest

from gateway.console.pages import cell, number, page, plot, size, when, words


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, ""),
        (True, "yes"),
        (False, "no"),
        (1234567, "1\u202f234\u202f567"),
        (1234.5, "1,234.5"),
        (2.0, "2"),
        (["a", "<b>"], "a, &lt;b&gt;"),
        ({"control": "<replay>"}, "control: &lt;replay&gt;"),
        ("text", "text"),
        (-0.0004, "0"),
        (datetime(2026, 1, 2, 3, 4, 5), '<time datetime="2026-01-02T03:04:05.000Z">2026-01-02 03:04:05</time>'),  # noqa: DTZ001
    ],
)
def test_cells(value: object, shown: str) -> None:
    assert str(cell(value)) == shown


def test_times() -> None:
    assert '"1970-01-01T00:00:01.500Z">1970-01-01 00:00:01.500<' in str(when(1.5))
    assert str(when(None)) == ""


@pytest.mark.parametrize(
    ("value", "shown"), [(0, "0 bytes"), (2048, "2.0 KiB"), (5_000_000, "4.8 MiB"), (2**40, "1024.0 GiB")]
)
def test_sizes(value: int, shown: str) -> None:
    assert size(value) == shown


def test_words_and_numbers() -> None:
    assert (str(words("a_<b>")), number("x"), str(plot("<svg/>"))) == ("a &lt;b&gt;", "x", "<svg/>")


def test_what_is_filled_in_is_escaped() -> None:
    frame = {"tabs": (), "tab": "", "directory": "<dir>", "title": "<t>", "onward": ""}
    html = page("message.html", {**frame, "text": "<script>alert(1)</script>"})
    assert ("<script" in html, "&lt;script&gt;" in html, "&lt;dir&gt;" in html) == (False, True, True)
