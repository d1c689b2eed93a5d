"""A run is never started twice, never orphaned and never lost, whatever happens; each story is one kind of mishap."""

from __future__ import annotations

import pytest

from tests.system.faults import deadlines, patience, restarts, waits, workers
from tests.system.faults.story import STORIES

CHAPTERS = (workers, waits, deadlines, patience, restarts)
pytestmark = [pytest.mark.system, pytest.mark.faults]


def stories():
    """One parameter for each story, marked with its name."""
    for story in STORIES.values():
        marks = [pytest.mark.story(story.name), *([pytest.mark.fast] if story.fast else [])]
        yield pytest.param(story.name, marks=marks, id=story.name)


@pytest.mark.parametrize("name", list(stories()))
def test_story(name, evening):
    outcome = evening.outcomes[name]
    print(f"{outcome.story.about}\n\n{outcome.log}")
    assert not outcome.wrong


@pytest.mark.fast
def test_no_story_leaves_a_secret_behind(evening):
    """In no log, table, event, trigger, link or output of a process."""
    assert evening.secrets
    assert not evening.leaks


@pytest.mark.fast
def test_the_search_for_secrets_finds_what_there_is(evening):
    """Of every story it finds the name in task logs and in tables, of one that defers also in a trigger."""
    for name, outcome in evening.outcomes.items():
        places = evening.seen[name]
        assert any(place.startswith("logs/") for place in places)
        assert any(place.startswith("table ") for place in places)
        assert not outcome.story.deferred or "triggers" in places
