"""Lines of a run's log: cleaned, masked, cut, and told apart from those that were seen."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_workflow_provider.exceptions import NotSupported
from airflow_workflow_provider.protocol.model import Run
from airflow_workflow_provider.protocol.run_log import (
    BREAKS,
    LINE,
    REMEMBERED,
    LogLine,
    LogPage,
    progress_text,
    read_page,
    shown,
    tidy,
    unseen,
)
from tests.protocol.playing import play

MOMENT = datetime(2026, 11, 30, 14, 0, 1, 250_999, tzinfo=UTC)
RUN = Run("acme", "c", "wf", "7")


def line(text, level="info"):
    return LogLine(None, level, text)


def lines(*texts):
    return [line(str(text)) for text in texts]


def texts_of(found):
    return [one.text for one in found]


def test_a_line_is_shown_with_the_servers_time():
    assert shown(LogLine(MOMENT, "info", "loaded")) == "[run log] 2026-11-30T14:00:01.250Z loaded"
    assert shown(LogLine(None, "debug", "loaded")) == "[run log] DEBUG loaded"


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\ufffd[1;31mred\ufffd[0m", "red"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;https://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x9b2Jgone", "gone"),
        ("\x1bcreset", "reset"),
        ("a\x00b\x08c", "a\ufffdb\ufffdc"),
        ("tab\there", "tab\there"),
        ("half \ud800", "half \ufffd"),
        ("end\r\n", "end"),
    ],
)
def test_a_line_holds_no_escape_sequence_and_no_control_character(text, clean):
    assert texts_of(tidy(line(text), ())) == [clean]


def test_a_line_break_makes_two_lines_so_that_no_text_can_pass_for_a_line_of_the_task():
    assert texts_of(tidy(line("a\n[2026-11-30] ERROR - b\u2028c"), ())) == ["a", "[2026-11-30] ERROR - b", "c"]


def test_a_secret_is_masked_also_where_an_escape_sequence_splits_it():
    found = texts_of(tidy(line("key sec\x1b[0mret-value"), ("secret-value",)))
    assert found == ["key ***"]


def test_a_long_line_is_cut_and_says_how_long_it_was():
    (found,) = tidy(line("x" * 1_000_000), ())
    assert found.text.startswith("x" * LINE)
    assert found.text.endswith("… (cut: 1000000 characters in all)")
    assert len(found.text) < LINE + 100


@pytest.mark.parametrize("pad", range(0, 48, 5))
def test_no_part_of_a_secret_is_shown_where_a_line_of_secrets_is_cut(pad):
    """Masks are shorter than what they replace, so the end of what is looked at comes into sight."""
    secret = "hunter2-and-what-else-a-token-has-0123456789"
    (line,) = tidy(LogLine(None, "info", "x" * pad + secret * 1_000), (secret,))
    assert secret[:8] not in line.text
    assert line.text.endswith(f"… (cut: {pad + 1_000 * len(secret)} characters in all)")


class Strange:
    """A value of a plug-in whose own code fails."""

    def __str__(self):
        raise ValueError("no text")


@pytest.mark.parametrize(
    "time", ["2026-11-30", 7, datetime.max.replace(tzinfo=timezone(timedelta(hours=-9))), Strange()]
)
def test_a_line_with_something_else_for_its_time_is_shown_without_a_time(time):
    """The code of a plug-in makes the lines; what it makes must not end the wait for the run."""
    assert [shown(part) for part in tidy(LogLine(time, "info", "text"), ())] == ["[run log] text"]


@pytest.mark.parametrize(("text", "spelled"), [(None, ""), (b"x", "b'x'"), (["x"], "['x']"), (Strange(), "(Strange)")])
def test_a_line_with_something_else_for_its_text_is_a_line(text, spelled):
    assert [part.text for part in tidy(LogLine(None, ["odd"], text), ())] == [spelled]


@pytest.mark.parametrize("value", ["a line", (None, "info", "a line"), None])
def test_what_is_no_line_says_so(value):
    with pytest.raises(TypeError, match="no LogLine"):
        list(tidy(value, ()))


def test_a_line_of_many_breaks_becomes_a_bounded_number_of_lines():
    parts = list(tidy(LogLine(None, "info", "x\n" * 900), ()))
    assert len(parts) == BREAKS + 1
    assert "900 lines" in parts[-1].text


def test_progress_holds_no_secret_and_no_escape_sequence():
    assert progress_text("node \x1b[31msecret-\x1b[0mvalue", ("secret-value",)) == "node ***"


def test_an_unknown_level_counts_as_information():
    (found,) = tidy(line("x", level="loud"), ())
    assert found.level == "info"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.42, "42 %"),
        (1, "100 %"),
        (7.0, "100 %"),
        (-1, "0 %"),
        (float("nan"), ""),
        (None, ""),
        (True, ""),
        ("3/7", "3/7"),
    ],
)
def test_progress_is_a_fraction_or_words(value, text):
    assert progress_text(value) == text


def test_a_page_is_a_sequence_even_if_its_lines_are_made_while_they_are_read():
    page = LogPage(line(str(n)) for n in range(3))
    assert (len(page), page[1].text, texts_of(page)) == (3, "1", ["0", "1", "2"])


def follow(*logs):
    """Read one log after the other with the cursor of the one before; give the new lines of each."""
    found, cursor = [], None
    for log in logs:
        page = unseen(lines(*log), cursor)
        found.append(texts_of(page))
        cursor = page.cursor
    return found


def test_a_log_that_grows_gives_what_is_new():
    assert follow("ab", "ab", "abcd", "abcde") == [["a", "b"], [], ["c", "d"], ["e"]]


def test_equal_lines_are_told_apart_by_their_number():
    assert follow("aa", "aaa") == [["a", "a"], ["a"]]


def test_lines_that_come_in_front_of_others_are_new_and_the_others_are_not():
    assert follow("ab", "xaby", "xaby") == [["a", "b"], ["x", "y"], []]


def test_a_long_log_that_lost_its_beginning_goes_on_where_it_was():
    whole = [f"line {number}" for number in range(2000)]
    assert follow(whole[:1500], whole[700:]) == [whole[:1500], whole[1500:]]


@pytest.mark.parametrize("count", [20, 255, 256, 257, 1000])
@pytest.mark.parametrize("back", [1, 5, 12])
def test_a_line_that_comes_late_is_new_and_no_other_is_repeated(count, back):
    """Servers that sort a log by time put it in front of lines that were seen, also where the log is long."""
    log = [f"line {number}" for number in range(count)]
    found = follow(log, [*log[:-back], "late", *log[-back:], "next"])
    assert found[1] == ["late", "next"]


def test_a_late_line_of_a_log_that_also_lost_its_beginning_is_new():
    log = [f"line {number}" for number in range(1000)]
    assert follow(log, [*log[600:-3], "late", *log[-3:], "next"])[1] == ["late", "next"]


def test_lines_of_the_same_text_and_time_are_counted_in_a_long_log():
    assert [len(part) for part in follow("." * 900, "." * 903, "." * 903)] == [900, 3, 0]


def test_a_long_log_that_is_another_one_is_shown_from_its_beginning_and_says_so():
    cursor = unseen(lines(*range(1000)), None).cursor
    page = unseen(lines("other"), cursor)
    assert texts_of(page) == ["other"]
    assert "another log" in page.note


def test_a_log_that_is_gone_says_so_and_is_not_shown_again_when_it_comes_back():
    cursor = unseen(lines(*range(1000)), None).cursor
    gone = unseen([], cursor)
    assert "no log" in gone.note
    assert texts_of(unseen(lines(*range(1001)), gone.cursor)) == ["1000"]


@pytest.mark.parametrize("cursor", [None, {}, "x", 7, {"n": "7"}, {"n": 2, "digest": "0", "last": "?"}, {"n": True}])
def test_a_cursor_that_makes_no_sense_is_the_beginning(cursor):
    assert texts_of(unseen(lines("a"), cursor)) == ["a"]


def test_a_cursor_stays_small():
    cursor = unseen(lines(*range(10_000)), None).cursor
    assert len(str(cursor)) < 6 * REMEMBERED


@given(st.lists(st.sampled_from("abc"), max_size=40), st.lists(st.integers(0, 40), max_size=8))
def test_every_line_of_a_growing_log_comes_once_and_in_order_however_it_is_cut(log, cuts):
    found = follow(*[log[:cut] for cut in sorted(cuts)], log)
    assert [text for part in found for text in part] == log


class Acme:
    """A system whose log has two pages."""

    label, secrets = "Acme", ("secret-value",)

    def read_log(self, run, cursor):
        number = cursor or 0
        return LogPage(lines(f"page {number}: secret-value"), number + 1, more=number < 1)
        yield


def test_all_pages_are_read_and_their_secrets_masked():
    page = play(read_page(Acme(), RUN))
    assert texts_of(page) == ["page 0: ***", "page 1: ***"]
    assert page.cursor == 2


def test_a_system_without_a_log_says_so():
    with pytest.raises(NotSupported, match="no log"):
        play(read_page(object(), RUN))
