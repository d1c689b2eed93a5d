"""Following a log: every line once and in order, at its own interval, within bounds, and never an error of the wait."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_workflow_provider.exceptions import (
    NotSupported,
    PermissionDenied,
    ServerUnavailable,
    TaskStopped,
)
from airflow_workflow_provider.protocol import follow_log
from airflow_workflow_provider.protocol.effects import Request, Sleep
from airflow_workflow_provider.protocol.follow_log import (
    LINES_A_MINUTE,
    REFUSALS,
    LogFollower,
    LogState,
    LogTurn,
    RecallLog,
    WriteLog,
    to_log,
    writing,
)
from airflow_workflow_provider.protocol.model import Run
from airflow_workflow_provider.protocol.run_log import MOST_PAGES, CursorLost, LogLine, LogPage
from airflow_workflow_provider.protocol.times import from_epoch
from tests.protocol.playing import EPOCH, Player, answer

RUN = Run("acme", "c", "wf", "7")


@dataclass
class Server:
    """A system with a log of numbered lines; ``cursor`` is the number of lines before."""

    label: str = "Acme"
    secrets: tuple = ("secret-value",)
    log: list = field(default_factory=list)
    error: Exception | None = None
    reads: int = 0
    page_size: int = 1_000_000
    progress: object = None
    forgets: bool = False

    def read_log(self, run, cursor):
        self.reads += 1
        if self.error:
            raise self.error
        if self.forgets and cursor is not None:
            raise CursorLost
        begin = cursor or 0
        end = min(begin + self.page_size, len(self.log))
        found = [LogLine(None, "info", str(text)) for text in self.log[begin:end]]
        return LogPage(iter(found), end, self.progress, more=end < len(self.log))
        yield


class Task(Player):
    """A task's log: it performs what a follower asks for. After ``dies_after`` effects the process dies."""

    recalls, stored_elsewhere, certain = 0, None, 0

    def __init__(self, wait=0.0, dies_after=None):
        super().__init__()
        self.written, self.stored, self.wait, self.dies_after = [], None, wait, dies_after

    def perform(self, effect):
        if self.dies_after is not None:
            self.dies_after -= 1
            if self.dies_after < 0:
                raise KeyboardInterrupt
        if isinstance(effect, RecallLog):
            self.recalls += 1
            return self.stored_elsewhere
        if isinstance(effect, LogTurn):
            return effect.due + self.wait
        if isinstance(effect, WriteLog):
            self.written += [line.text for line in effect.lines]
            if not effect.stores:
                return None
            self.certain = len(self.written)
            self.stored = json.loads(json.dumps(effect.state.to_json()))
            return None
        return super().perform(effect)


def follower(server, state=None, **more):
    return LogFollower.of(server, RUN, state, **more)


def test_it_writes_what_is_new_at_each_interval_and_asks_no_more_often():
    server, task = Server(log=[1, 2]), Task()
    following = follower(server, interval=30)
    for _ in range(10):  # polls, ten seconds apart
        task.play(following.step(RUN))
        server.log.append(len(server.log) + 1)
        task.now += 10
    assert server.reads == 4
    assert task.written == [str(number) for number in range(1, 12)]


def test_the_rest_is_read_at_the_end_due_or_not():
    server, task = Server(log=[1]), Task()
    following = follower(server)
    task.play(following.step(RUN))
    server.log.append(2)
    task.play(following.step(RUN))
    task.play(following.finish(RUN))
    assert task.written == ["1", "2"]


def test_lines_that_come_a_little_later_than_the_end_of_the_run_are_read():
    class Late(Server):
        def read_log(self, run, cursor):
            page = yield from super().read_log(run, cursor)
            if self.reads < 3:
                self.log.append(self.reads)
            return page

    server, task = Late(log=[0]), Task()
    task.play(follower(server).finish(RUN))
    assert (task.written, task.sleeps.count(1.0)) == (["0", "1", "2"], 3)
    server, task = Late(log=[0]), Task()
    task.play(follower(server).finish(replace(RUN, ended_at=from_epoch(EPOCH - 60))))
    assert (task.written, server.reads) == (["0"], 1)


def test_a_log_without_news_is_not_read_again_unless_it_lags():
    class Lagging(Server):
        log_lags = True

    for server, reads in ((Server(), 1), (Lagging(), 2)):
        Task().play(follower(server).finish(RUN))
        assert server.reads == reads


def test_an_endless_log_is_left_at_some_point_and_says_so():
    server, task = Server(log=list(range(1000)), page_size=1), Task()
    task.play(follower(server).finish(RUN))
    assert sum("left out" in line for line in task.written) > 0
    assert server.reads <= MOST_PAGES * (follow_log.SETTLING + 1)


def test_the_first_request_is_shifted_by_the_phase():
    task, following = Task(), follower(Server(log=[1]), interval=30, phase=0.5)
    task.play(following.step(RUN))
    assert task.written == []
    assert following.left(task.now) == 15
    task.now += 15
    task.play(following.step(RUN))
    assert task.written == ["1"]


def test_it_waits_for_its_turn_and_asks_nothing_before():
    server, task = Server(log=[1]), Task(wait=200.0)
    following = follower(server)
    task.play(following.step(RUN))
    assert (server.reads, following.left(task.now)) == (0, 200)
    task.now += 200
    task.play(following.step(RUN))
    assert (server.reads, following.left(task.now)) == (1, 230)


def test_another_process_continues_behind_the_last_line_that_was_stored():
    server, task = Server(log=list(range(250))), Task()
    task.play(follower(server).step(RUN))
    server.log += range(250, 300)
    task.play(follower(server, task.stored).step(RUN))
    assert task.written == [str(number) for number in range(300)]


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 400), st.integers(1, 30)), max_size=6), st.integers(20, 1000))
def test_a_process_that_dies_between_two_effects_neither_repeats_nor_loses_a_line(deaths, page_size):
    """What was written and not stored is written again, so only what was stored counts here."""
    server, state, written = Server(page_size=page_size), None, []
    for grown, effects in [*deaths, (0, 10_000)]:
        server.log += range(len(server.log), len(server.log) + grown)
        task = Task(dies_after=effects)
        with suppress(KeyboardInterrupt):
            task.play(follower(server, state).finish(RUN))
        written, state = written + task.written[: task.certain], task.stored or state
    assert written == [str(number) for number in range(len(server.log))]


def test_what_another_process_of_the_try_has_stored_counts_if_it_is_further():
    server, first = Server(log=[1, 2, 3]), Task()
    given = LogState("7", 1, 0, 1).to_json()
    first.play(follower(server, given).step(RUN))
    again = Task()
    again.stored_elsewhere = first.stored
    server.log.append(4)
    following = follower(server, given)
    for _ in range(3):
        again.play(following.step(RUN))
        again.now += 30
    assert (first.written, again.written, again.recalls) == (["2", "3"], ["4"], 1)
    later = Task()
    later.stored_elsewhere = given
    later.play(follower(server, again.stored).finish(RUN))
    assert later.written == []


def test_nothing_is_written_before_it_is_known_what_another_process_has_written():
    """Nor is anything stored, which would replace what is not known yet."""

    class Cold(Task):
        def perform(self, effect):
            if isinstance(effect, RecallLog) and self.recalls < 2:
                self.recalls += 1
                raise ServerUnavailable("a cold triggerer")
            reply = super().perform(effect)
            self.stored_elsewhere = self.stored or self.stored_elsewhere
            return reply

    server, task = Server(log=[1, 2, 3]), Cold()
    task.stored_elsewhere = LogState("7", 2, 0, 2).to_json()
    following = follower(server)
    for _ in range(3):
        task.play(following.step(RUN))
        task.now += 600
    assert task.written[1:] == ["3"]
    assert "a cold triggerer" in task.written[0]


@pytest.mark.parametrize(
    "state", [None, {}, "x", {"run_id": "another", "cursor": 1}, {"run_id": "7", "skip": "x", "lines": -1}]
)
def test_the_state_of_another_run_and_nonsense_are_the_beginning(state):
    task = Task()
    task.play(follower(Server(log=[1]), state).step(RUN))
    assert task.written == ["1"]


def test_a_log_that_cannot_be_read_is_one_line_and_asked_for_less_and_less_often():
    server, task = Server(error=ServerUnavailable("HTTP 503: secret-value")), Task()
    following = follower(server, interval=30)
    pauses = []
    for _ in range(7):
        task.play(following.step(RUN))
        pauses.append(following.left(task.now))
        task.now += pauses[-1]
    assert task.written == ["The log of run 7 cannot be read at the moment: HTTP 503: ***"]
    assert pauses == [60, 120, 240, 480, 600, 600, 600]


def test_nothing_is_lost_while_the_log_cannot_be_read():
    server, task = Server(log=[1]), Task()
    following = follower(server)
    task.play(following.step(RUN))
    server.error, task.now = ServerUnavailable("down"), task.now + 30
    task.play(following.step(RUN))
    server.error, task.now = None, task.now + 60
    server.log += [2, 3]
    task.play(following.step(RUN))
    assert task.written[0] == "1"
    assert task.written[2:] == ["2", "3"]


def test_the_rest_of_a_log_is_asked_for_again_where_the_server_fails_at_the_end():
    """Nothing reads the log after that, so one failed request must not lose the rest."""
    server, task = Server(log=[1, 2]), Task()
    failures = iter([ServerUnavailable("busy"), ServerUnavailable("busy")])
    read = server.read_log

    def fails_twice(run, cursor):
        server.error = next(failures, None)
        return (yield from read(run, cursor))

    server.read_log = fails_twice
    task.play(follower(server).finish(RUN))
    assert task.written == ["1", "2"]


def test_a_log_that_cannot_be_read_at_the_end_is_one_line():
    server, task = Server(error=ServerUnavailable("down")), Task()
    task.play(follower(server).finish(RUN))
    assert task.written == ["The rest of the log of run 7 cannot be read: down"]
    assert server.reads == 3


def test_a_log_that_is_refused_again_and_again_is_not_asked_for_any_more():
    server, task = Server(error=PermissionDenied("HTTP 403", status=403)), Task()
    following = follower(server)
    for _ in range(2 * REFUSALS):
        task.play(following.step(RUN))
        task.now += 10_000
    assert server.reads == REFUSALS
    assert "not read any more" in task.written[-1]
    assert following.left(task.now) is None
    task.play(following.finish(RUN))
    task.play(follower(server, task.stored).finish(RUN))
    assert server.reads == REFUSALS


@pytest.mark.parametrize("system", [Server(error=NotSupported("there is none")), object()], ids=["run", "system"])
def test_a_system_or_run_without_a_log_says_so_once(system):
    task = Task()
    following = follower(system)
    for _ in range(3):
        task.play(following.step(RUN))
        task.now += 60
    task.play(follower(system, task.stored).finish(RUN))
    (only,) = task.written
    assert "no log to follow" in only


@pytest.mark.parametrize(
    "error", [ValueError("odd"), TypeError("odd"), RecursionError("odd"), KeyError("odd")], ids=repr
)
def test_whatever_an_answer_does_to_the_reading_of_a_log_the_wait_goes_on(error):
    task = Task()
    task.play(follower(Server(error=error)).step(RUN))
    assert "odd" in task.written[0]


class Odd:
    """A plug-in's system whose log is what a test says."""

    label, secrets = "Odd", ("secret-value",)

    def __init__(self, gives):
        self.gives = gives

    def read_log(self, run, cursor):
        return self.gives() if callable(self.gives) else self.gives
        yield


@pytest.mark.parametrize(
    "cursor", [{1, 2}, from_epoch(EPOCH), {(1, 2): 3}, float("nan"), "x" * 1_000_000, "a\0b", "\ud800", 2**70, object()]
)
def test_a_cursor_that_no_event_can_carry_is_not_used_and_every_line_comes_once(cursor):
    """The state goes through the trigger's event: what no process can send would end the triggerer of all teams."""
    log = Odd(lambda: LogPage([LogLine(None, "info", "a"), LogLine(None, "info", "b")], cursor))
    task, state = Task(), None
    for _ in range(3):
        followed = follower(log, state)
        task.play(followed.step(RUN))
        state = json.loads(json.dumps(followed.state.to_json(), allow_nan=False))
    assert task.written == ["a", "b"]
    assert len(json.dumps(state)) < 3000


def test_a_log_of_several_pages_whose_cursor_no_event_can_carry_is_read_whole():
    class Pages(Odd):
        def read_log(self, run, cursor):
            at = cursor[0] if cursor else 0
            return LogPage([LogLine(None, "info", str(at))], (at + 1, object()), more=at < 3)
            yield

    task = Task()
    task.play(follower(Pages(None)).step(RUN))
    assert task.written == ["0", "1", "2", "3"]


NO_LINES: list[Any] = [["text"], [(None, "info", "x")]]


@pytest.mark.parametrize("gives", [None, [], "text", *map(LogPage, NO_LINES)], ids=repr)
def test_what_is_no_log_is_one_line_and_the_wait_goes_on(gives):
    task, followed = Task(), follower(Odd(gives))
    task.play(followed.step(RUN))
    task.now += 100
    task.play(followed.step(RUN))
    assert len(task.written) == 1
    assert "cannot be read at the moment" in task.written[0]


def test_an_error_whose_text_fails_is_one_line():
    class Strange(Exception):
        def __str__(self):
            raise ValueError("no text")

    task = Task()
    task.play(follower(Server(error=Strange())).step(RUN))
    assert "(Strange)" in task.written[0]


def test_a_log_with_bytes_that_are_no_text_is_shown_and_says_so_once():
    task, server = Task(), Server(log=["caf\N{REPLACEMENT CHARACTER}", "b"])
    followed = follower(server)
    task.play(followed.step(RUN))
    server.log.append("\N{REPLACEMENT CHARACTER}")
    task.play(followed.finish(RUN))
    said = [text for text in task.written if "no text" in text]
    assert len(said) == 1
    assert task.written == ["caf\N{REPLACEMENT CHARACTER}", "b", *said, "\N{REPLACEMENT CHARACTER}"]


def test_lines_within_a_line_count():
    """A server that puts many breaks into one entry must not fill a disk."""
    task = Task()
    task.play(follower(Server(log=["x\n" * 90] * 1000)).step(RUN))
    assert len(task.written) <= LINES_A_MINUTE + 100
    assert "lines were left out" in task.written[-1]


def test_no_secret_is_in_the_progress_that_is_stored():
    task = Task()
    task.play(follower(Server(log=["a"], progress="node secret-value")).step(RUN))
    assert "secret-value" not in json.dumps([task.written, task.stored])
    assert task.written[-1] == "progress: node ***"


def test_a_task_that_is_stopped_stops():
    with pytest.raises(TaskStopped):
        Task().play(follower(Server(error=TaskStopped("killed"))).step(RUN))


def test_a_task_that_is_stopped_within_a_page_has_stored_what_it_has_written():
    class Stopping(Task):
        def perform(self, effect):
            if isinstance(effect, Sleep) and len(self.written) >= 200:
                raise TaskStopped("killed")
            return super().perform(effect)

    server, task = Server(log=list(range(450))), Stopping()
    with pytest.raises(TaskStopped):
        task.play(follower(server).step(RUN))
    again = Task()
    again.play(follower(server, task.stored).step(RUN))
    assert task.written + again.written == [str(number) for number in range(450)]


def test_a_server_that_forgot_the_cursor_is_read_from_its_beginning_and_no_line_is_repeated():
    server, task = Server(log=[1, 2, 3]), Task()
    following = follower(server)
    task.play(following.step(RUN))
    server.forgets = True
    server.log += [4, 5]
    task.play(following.finish(RUN))
    assert task.written == ["1", "2", "3", "4", "5"]


def test_a_server_that_forgot_cursor_and_lines_says_so_and_shows_what_it_has():
    server, task = Server(log=[1, 2, 3]), Task()
    following = follower(server)
    task.play(following.step(RUN))
    server.forgets, server.log = True, [9]
    task.play(following.finish(RUN))
    assert task.written == ["1", "2", "3", "The server's log begins again", "9"]


def test_too_many_lines_a_minute_are_left_out_and_counted():
    server, task = Server(log=list(range(LINES_A_MINUTE + 500))), Task()
    following = follower(server)
    task.play(following.step(RUN))
    assert len(task.written) == LINES_A_MINUTE + 1
    assert task.written[-1].startswith("500 lines were left out")
    server.log.append("later")
    task.now += 60
    task.play(following.step(RUN))
    assert task.written[-1] == "later"


def test_long_lines_are_cut_and_not_left_out():
    task = Task()
    task.play(follower(Server(log=["x" * 1_000_000] * 20)).step(RUN))
    assert len(task.written) == 20
    assert all("cut: 1000000 characters" in line for line in task.written)


def test_lines_are_written_in_small_parts_so_that_others_are_served_in_between():
    class Watching(Task):
        sizes: list

        def perform(self, effect):
            self.sizes = [*getattr(self, "sizes", []), effect]
            return super().perform(effect)

    task = Watching()
    task.play(follower(Server(log=list(range(1000)))).step(RUN))
    batches = [len(effect.lines) for effect in task.sizes if isinstance(effect, WriteLog)]
    assert max(batches) == follow_log.BATCH
    assert task.sizes.count(Sleep(0)) == 10


def test_progress_is_written_when_it_changes():
    server, task = Server(progress=0.25), Task()
    following = follower(server)
    for value in (0.25, 0.25, 0.5):
        server.progress = value
        task.play(following.step(RUN))
        task.now += 30
    task.play(follower(server, task.stored).finish(RUN))
    assert task.written == ["progress: 25 %", "progress: 50 %"]


def test_the_tail_is_what_was_written_already_and_nothing_else():
    server, task = Server(log=list(range(500))), Task()
    following = follower(server)
    task.play(following.step(RUN))
    server.log += range(500, 600)
    found = task.play(following.tail(RUN, 200))
    assert [line.text for line in found] == [str(number) for number in range(300, 500)]


def test_requests_for_a_log_may_take_a_few_seconds_only():
    class Slow(Server):
        def read_log(self, run, cursor):
            yield Request("GET", "http://acme.test/log", timeout=600.0)
            return LogPage()

    task = Task()
    task.answers = [answer(200)]
    task.play(follower(Slow()).step(RUN))
    assert task.requests[0].timeout == follow_log.REQUEST_TIMEOUT


def test_lines_that_come_with_the_run_cost_no_request_and_need_no_turn():
    class Free(Server):
        log_from_run = True

    server, task = Free(log=[1]), Task(wait=99.0)
    following = follower(server)
    task.play(following.step(RUN))
    assert task.written == []  # it waits for its first turn, at which it is asked what was stored
    task.now += 99
    for _ in range(3):
        task.play(following.step(RUN))
        server.log.append(len(server.log) + 1)
    assert task.written == ["1", "2", "3"]
    assert following.left(task.now) is None


def test_a_writer_gives_each_line_its_level():
    class Log:
        def __init__(self):
            self.said = []

        def info(self, text, *values):
            self.said.append(("info", text % values))

        def error(self, text, *values):
            self.said.append(("error", text % values))

    log = Log()
    to_log(log)([LogLine(None, "error", "100 % wrong"), LogLine(None, "debug", "x")])
    assert log.said == [("error", "[run log] 100 % wrong"), ("info", "[run log] DEBUG x")]


def test_a_state_survives_json():
    state = LogState("7", {"id": 3}, 2, 5, "25 %", is_over=True)
    assert LogState.from_json(json.loads(json.dumps(state.to_json())), "7") == state


def test_on_a_worker_lines_are_written_before_their_state_is_stored():
    happened, server = [], Server(log=list(range(650)))
    flow = writing(
        follower(server).finish(RUN),
        lambda lines: happened.append(("written", len(lines))),
        lambda state: happened.append(("stored", state.lines)),
    )
    Player().play(flow)
    assert happened == [
        *[("written", 100)] * 5,
        ("stored", 500),
        ("written", 100),
        ("written", 50),
        ("written", 0),
        ("stored", 650),
    ]
