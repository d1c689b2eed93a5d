"""Stories of servers and networks that have a bad time."""

from __future__ import annotations

from tests.system.faults.stage import POLLS, STARTS
from tests.system.faults.story import story

DEFERRED = {"deferrable": True}
MANY = 200  # polls
# What a bad day holds; each strikes one poll in 50.
BAD_DAY = (
    {"kind": "status", "status": 429, "headers": {"Retry-After": "1"}},
    {"kind": "status", "status": 408},
    {"kind": "status", "status": 500},
    {"kind": "html", "status": 502},
    {"kind": "html", "status": 200},
    {"kind": "reset"},
    {"kind": "lost"},
    {"kind": "truncate"},
    {"kind": "slow", "seconds": 0.3},
)


@story("carto", seconds=100, arguments={"poll_interval": 0.08}, tries=1)
@story("carto", seconds=100, arguments={"poll_interval": 0.06, **DEFERRED}, tries=1, name="bad_day_deferred")
@story("alteryx", seconds=100, arguments={"poll_interval": 0.06, **DEFERRED}, tries=1, name="bad_day_deferred_alteryx")
def bad_day(stage):
    """Two hundred polls with errors, resets, pages and slow answers among them: one run, one try, its result."""
    polls = POLLS[stage.story.system]
    for fault in BAD_DAY:
        stage.fault(**fault, path=polls.partition(" ")[2], method="GET", times=None, probability=0.02)
    stage.begin()
    yield from stage.ended(180)
    stage.expect(MANY, len(stage.asked(polls)))
    stage.expect(MANY // 10, sum(fault["fired"] for fault in stage.sandbox.faults()))


@story("carto", seconds=15, conn_id="carto_oauth", settings={"token_seconds": 2}, tries=1)
@story(
    "carto",
    seconds=15,
    conn_id="carto_oauth",
    settings={"token_seconds": 2},
    arguments=DEFERRED,
    tries=1,
    name="token_expires_deferred",
)
def token_expires(stage):
    """The token lives two seconds, and is revoked once before its time: the wait logs in again and goes on."""
    stage.begin()
    yield from stage.polled(2)
    stage.sandbox.settings("carto", revoked_tokens=stage.tokens())
    yield from stage.ended()
    stage.expect(4, len(stage.asked("POST /oauth/token")))


@story("carto", seconds=10, arguments={"retries": 0}, tries=1)
@story("carto", seconds=10, arguments={"retries": 0, **DEFERRED}, tries=1, name="server_down_deferred")
def server_down(stage):
    """The server is down for longer than the run takes and than any single back-off of the first minute."""
    stage.begin()
    yield from (stage.deferred() if stage.story.deferred else stage.polled())
    stage.fault("reset", times=None)
    yield from stage.pause(25)
    stage.sandbox.clear_faults()
    yield from stage.ended(150)


@story("alteryx", seconds=10, tries=1)
@story("stevesie", seconds=10, arguments=DEFERRED, tries=1, name="answer_lost_stevesie")
def answer_lost(stage):
    """The answer to the start is lost on its way: the one run that fits is adopted in the same try."""
    stage.fault("lost", stage.start_path, method="POST")
    stage.begin()
    yield from stage.ended()


@story("alteryx", seconds=4, tries=1)
def start_refused_by_a_proxy(stage):
    """A proxy answers 502 in the place of the server: no run fits, so the start is sent again."""
    stage.fault("html", stage.start_path, method="POST", status=502)
    stage.begin()
    yield from stage.ended()
    stage.expect(2, len(stage.asked(STARTS["alteryx"])))


@story("carto", seconds=4, arguments={"retries": 0}, tries=1)
def start_put_off(stage):
    """A server that is busy says when to come back: the start is sent again, for it was certainly not taken."""
    stage.fault("status", stage.start_path, method="POST", status=429, headers={"Retry-After": "2"}, times=2)
    stage.begin()
    yield from stage.ended()
    stage.expect(3, len(stage.asked(STARTS["carto"])))
