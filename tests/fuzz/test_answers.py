"""Whatever a server answers, a flow gives a value or one of our errors, in time, without a secret, with one start.

``FUZZ_SECONDS`` (default 10) is for how long each system is tried, ``FUZZ_SEED`` (default 0) which cases are tried. A
failure names its case: ``FUZZ_CASE=<number>`` plays it alone.
"""

from __future__ import annotations

import json
import os
import time
import traceback
import tracemalloc
from dataclasses import dataclass
from random import Random
from typing import Any

import pytest

from airflow_workflow_provider.exceptions import UnknownStart, WorkflowError
from airflow_workflow_provider.protocol.effects import NoAnswer, NotSent, Request, Response, TransportError
from airflow_workflow_provider.protocol.lifecycle import event_of
from airflow_workflow_provider.protocol.limits import fitting
from airflow_workflow_provider.protocol.model import Run
from airflow_workflow_provider.protocol.text import clean_value
from airflow_workflow_provider.systems import SYSTEMS
from airflow_workflow_provider.systems.carto.staged import ATTEMPTS
from tests.client.driving import MODES, driven
from tests.client.recording import Reply, recording_server
from tests.fuzz.flows import flows, shown, system_of
from tests.fuzz.mutating import SECRET, answer_to, bodies
from tests.protocol.playing import Player

SECONDS = float(os.environ.get("FUZZ_SECONDS", "5"))
SEED = os.environ.get("FUZZ_SEED", "0")
CASE = os.environ.get("FUZZ_CASE")
CPU = 5.0  # seconds that one flow may take
MEMORY = 200e6  # bytes that one flow may take, whatever the answers
EVENT = 1_500_000  # bytes
PIECE = 12  # characters of a secret that must not be seen


def run_of(value: Run) -> Run:
    """The run as whoever gets the event reads it."""
    return Run.from_json(json.loads(json.dumps(event_of(value)))["run"])


def cases() -> Any:
    """Numbers of cases until the time is up."""
    if CASE:
        yield int(CASE)
        return
    end, number = time.monotonic() + SECONDS, 0
    while time.monotonic() < end:
        yield number
        number += 1


def checked(name: str, value: Any, error: BaseException | None, notes: list[str], starts: int, taken: bool) -> None:
    """Hold what must be true after any flow."""
    text = "\n".join(notes)
    if error is not None:
        assert isinstance(error, WorkflowError), f"{name}: {''.join(traceback.format_exception(error))}"
        text += "".join(traceback.format_exception(error))
        if name == "start" and taken:
            assert isinstance(error, UnknownStart), f"a start that was taken ended in {error!r}"
    else:
        document = json.loads(json.dumps(shown(value), default=str))
        if name not in ("rows", "name"):
            text += json.dumps(document, ensure_ascii=False, default=str)
            assert clean_value(document) == document, f"{name}: a text that no database takes: {document!r:.500}"
            json.dumps(document, allow_nan=False, default=str)
        if isinstance(value, Run):
            event = json.dumps(event_of(value))
            assert len(event) < EVENT
            assert run_of(value) == fitting(value)
    # A copy of a large table is no run of a workflow: it may be made again, under another name.
    most = 2 * ATTEMPTS if name == "rows" else 1
    assert starts <= most, f"{starts} starts were sent"
    for at in range(len(SECRET) - PIECE + 1):
        assert SECRET[at : at + PIECE] not in text, f"{name}: a part of the secret in {text!r:.2000}"


def seeded(*words: Any) -> Random:
    """The chance of one case, the same each time."""
    return Random(":".join(map(str, (SEED, *words))))  # noqa: S311  # it guards nothing


@dataclass
class AnyAnswer:
    """Answers each request at random, and counts the starts that may have been taken."""

    samples: list[Any]
    random: Random
    starts: int = 0
    taken: bool = False

    def __call__(self, request: Request) -> Response | TransportError:
        """Answer one request."""
        chance = self.random.random()
        if chance < 0.03:
            return NotSent("refused")
        if chance < 0.06:
            self.starts += request.starts
            return NoAnswer("reset")
        status, headers, content = answer_to(self.samples, self.random)
        if request.starts and status not in (401, 429):
            self.starts, self.taken = self.starts + 1, 200 <= status < 300
        return Response(status, headers, content, native=self.random.random() < 0.5)


@pytest.mark.parametrize("key", SYSTEMS)
def test_answers_of_any_kind_played_by_hand(key):
    """Thousands of changed answers against every flow of a system."""
    samples, played = bodies(key), 0
    for number in cases():
        random = seeded(key, number)
        system = system_of(key, "https://api.example.com", random)
        name, make = random.choice(list(flows(system, random)))
        server = AnyAnswer(samples, random)
        player = Player(answer_to=server)
        value, error = None, None
        began = time.process_time()
        try:
            value = system.without_secrets(player.play(make()))
        except AssertionError as failure:
            if "asks for ever" not in str(failure):
                raise
        except Exception as failure:  # noqa: BLE001  # which one it is, is checked
            error = failure
        assert time.process_time() - began < CPU, f"case {number}: {name} took too long"
        notes = [system_note(system, note) for note in player.notes]
        try:
            checked(name, value, error, notes, server.starts, server.taken)
        except AssertionError as failure:
            raise AssertionError(f"case {number} of seed {SEED} ({key}, {name}): {failure}") from failure
        played += 1
    print(f"{key}: {played} cases")


def system_note(system: Any, note: str) -> str:
    """A note as the drivers log it."""
    from airflow_workflow_provider.client.worker import shown as shown_in_log

    return shown_in_log(note, system.credentials())


@pytest.mark.parametrize("mode", MODES)
def test_answers_of_any_kind_from_a_server(mode):
    """The same through both drivers and a real connection, with memory measured."""
    with recording_server() as server:
        for number in cases():
            random = seeded(mode, number)
            key = random.choice(list(SYSTEMS))
            system = system_of(key, server.url, random)
            name, make = random.choice([one for one in flows(system, random) if one[0] != "rows"])
            samples = bodies(key)
            replies = []
            for _ in range(6):
                status, headers, content = answer_to(samples, random)
                kept = {name: value for name, value in headers.items() if value.isprintable() and value.isascii()}
                breaks = random.choice(("", "", "", "", "", "half", "reset", "garbage"))
                replies.append(Reply(max(status, 200), content, {**kept, "Content-Type": "application/json"}, breaks))
            server.script(replies)
            tracemalloc.start()
            drive = driven(mode, make, system.transport)
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            assert peak < MEMORY
            notes = [system_note(system, note) for note in drive.noted]
            try:
                checked(name, system.without_secrets(drive.value), drive.error, notes, 0, False)
            except AssertionError as failure:
                raise AssertionError(f"case {number} of seed {SEED} ({mode}, {key}, {name}): {failure}") from failure
