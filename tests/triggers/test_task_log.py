"""The log of a run in a triggerer: turns for reading, and the state that another triggerer finds again."""

from __future__ import annotations

import asyncio

import pytest

from airflow_workflow_provider.exceptions import RunTimedOut
from airflow_workflow_provider.protocol.effects import Sleep
from airflow_workflow_provider.protocol.follow_log import LogState, LogTurn, RecallLog, WriteLog
from airflow_workflow_provider.protocol.model import Run
from airflow_workflow_provider.protocol.run_log import LogLine
from airflow_workflow_provider.triggers import task_log
from airflow_workflow_provider.triggers.task_log import TURNS, TaskLog, Turns, Unread
from tests.protocol.playing import Player

RUN = Run("acme", "c", "wf", "7")


def test_a_turn_that_is_free_is_given_when_it_is_wanted():
    assert Turns().take(1000.25) == 1000.25


def test_no_more_turns_a_second_than_a_triggerer_can_bear_whatever_the_order():
    turns = Turns()
    wanted = [1000 + (number * 7919 % 3000) / 100 for number in range(5000)]
    given = [turns.take(due) for due in wanted]
    assert all(moment >= due for moment, due in zip(given, wanted, strict=True))
    seconds = [int(moment) for moment in given]
    assert max(seconds.count(second) for second in set(seconds)) <= TURNS + 1
    assert max(given) < 1000 + 30 + 5000 / TURNS


def test_turns_that_are_over_are_forgotten():
    turns = Turns()
    for number in range(task_log.REMEMBERED + 5000):
        turns.take(1000 + number)
    assert len(turns._next) <= task_log.REMEMBERED


class Trigger:
    """A trigger as far as its log goes."""

    task_instance = None

    def __init__(self):
        self.said = []
        self.log = self

    def info(self, text, *values):
        self.said.append(text % values)


def played(flow):
    """Answer one effect; give the reply, and the effect that was passed on."""
    try:
        return None, flow.send(None)
    except StopIteration as end:
        return end.value, None


def test_lines_go_to_the_log_of_the_trigger_and_a_task_without_an_instance_is_not_saved():
    async def follow():
        trigger = Trigger()
        made = TaskLog(trigger, {"interval": 60}, RUN)
        played(made.answer(WriteLog([LogLine(None, "info", "a")], LogState("7", 1, 0, 1))))
        reply, _ = played(made.answer(LogTurn(1e9)))
        other, passed_on = played(made.answer("another effect"))
        _, call = played(made.answer(RecallLog()))
        return trigger.said, reply, (other, passed_on), await call.function(), made.follower.interval

    said, turn, other, recalled, interval = asyncio.run(follow())
    assert said == ["[run log] a"]
    assert (turn, other, recalled, interval) == (1e9, (None, "another effect"), None, 60)


@pytest.mark.parametrize("given", [{}, {"interval": "x", "state": 7}, {"interval": True}])
def test_keywords_that_make_no_sense_are_the_defaults(given):
    made = TaskLog(Trigger(), given, RUN)
    assert (made.follower.interval, made.follower.state) == (30.0, LogState("7"))


def pauses(*, lines, then=0.0, error=None):
    """The sleeps of a wait that writes so many lines and ends ``then`` seconds later, besides that one."""

    async def play():
        trigger, player = Trigger(), Player()
        made = TaskLog(trigger, {}, RUN)

        def wait():
            written = [LogLine(None, "info", f"line {number}") for number in range(lines)]
            yield from made.answer(WriteLog(written, LogState("7", 1, 0, lines)))
            if then:
                yield Sleep(then)
            if error:
                raise error
            return RUN

        if error:
            with pytest.raises(RunTimedOut, match="late"):
                player.play(made.settled(wait()))
        else:
            assert player.play(made.settled(wait())) is RUN
        assert len(trigger.said) == lines
        return player.sleeps[1:] if then else player.sleeps

    return asyncio.run(play())


@pytest.mark.parametrize("error", [None, RunTimedOut("late", run=RUN)])
def test_a_wait_that_ends_right_after_lines_pauses_until_airflow_has_read_them(error):
    (few,), (many,), (most,) = (pauses(lines=lines, error=error) for lines in (1, 300, 10_000))
    assert 0.5 <= few < 1 < many < most == task_log.LONGEST_READ


def test_a_wait_that_has_written_nothing_or_long_ago_does_not_pause():
    assert pauses(lines=0) == []
    assert pauses(lines=10_000, then=task_log.LONGEST_READ) == []
    assert pauses(lines=1, then=1.0) == []


def test_lines_of_other_triggers_are_read_first():
    unread = Unread()
    alone = unread.written(300, 1000.0)
    unread.written(80_000, 1000.0)
    assert unread.written(300, 1000.0) > alone + 1
    assert unread.written(300, 2000.0) == pytest.approx(alone + 1000.0)
