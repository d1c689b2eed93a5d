"""Text from servers can be stored, logged and shown."""

import pytest

from airflow_workflow_provider.protocol.text import clean_text, clean_value, cut_text, indented, one_line


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("plain\ttext\nof two lines", "plain\ttext\nof two lines"),
        ("Zürich 東京 🎉", "Zürich 東京 🎉"),
        ("a\x00b", "a�b"),
        ("half \ud83d of a pair", "half � of a pair"),
        ("\x1b[31mred\x1b[0m", "�[31mred�[0m"),
        ("\x1b]0;title\x07", "�]0;title�"),
        ("\x9b31mred", "�31mred"),
        ("one\r\ntwo\u2028three\u2029four\x85five", "one\ntwo\nthree\nfour\nfive"),
        ("over\rwritten", "over�written"),
        ("back\x08space\x7f", "back�space�"),
        ("turned\u202eround\u2066", "turned�round�"),
    ],
)
def test_what_no_database_or_terminal_takes_is_replaced(text, clean):
    """Control characters and lone surrogates become U+FFFD, line breaks become newlines, the rest stays."""
    assert clean_text(text) == clean
    assert clean_text(clean_text(text)) == clean
    clean_text(text).encode()


def test_all_texts_of_a_json_value_are_cleaned():
    """Keys, values and items of lists are cleaned; numbers, booleans and null stay as they are."""
    value = {"a\x00": ["b\x07", 1, 2.5, None, True, {"c": "\ud800"}, float("nan"), -float("inf")]}
    assert clean_value(value) == {"a�": ["b�", 1, 2.5, None, True, {"c": "�"}, None, None]}


def test_a_text_for_a_log_line_has_one_line():
    """A line break in a server's message cannot begin a line that looks like a log line of ours."""
    assert one_line("failed\r\n[2026-01-01] INFO - all is well\x00 ") == "failed [2026-01-01] INFO - all is well�"


def test_a_text_that_is_cut_says_so():
    """The cut text keeps the limit and tells the whole length; a short text stays."""
    assert cut_text("short", 100) == "short"
    cut = cut_text("x" * 5000, 100)
    assert len(cut) == 100
    assert cut.endswith("… (cut: 5000 characters in all)")


def test_a_message_of_several_lines_cannot_look_like_log_lines():
    """Its lines are indented where an error of this package shows them."""
    assert indented("failed\r\n[2026-01-01] INFO - all is well\nend") == (
        "failed\n    [2026-01-01] INFO - all is well\n    end"
    )
