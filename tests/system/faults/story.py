"""What a story is: a task, what happens to it, and how many runs the server may have seen in the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.system.faults.stage import Stage

Play = Callable[["Stage"], Iterator[None]]

# What every task of a story gets unless it says otherwise; times in seconds.
DEFAULTS = {"poll_interval": 1, "retries": 2, "retry_delay": 2, "deferrable": False}
# What the systems' slow workflows call the seconds that they are to run.
SECONDS = {"carto": "seconds", "alteryx": "Seconds", "stevesie": "seconds", "chorus": "seconds", "invision": "seconds"}


@dataclass(frozen=True)
class Story:
    """One task and its fate.

    ``started`` and ``cancelled`` count runs on the server's side, ``state`` is how the task ends. A story with
    ``scene`` 0 plays beside others; the higher scenes disturb the whole Airflow and come one after the other.
    """

    name: str
    about: str
    play: Play
    system: str
    seconds: float
    arguments: Mapping[str, Any]
    settings: Mapping[str, Any]
    state: str
    started: int
    cancelled: int
    tries: int | None
    returns: bool
    conn_id: str
    scene: int
    fast: bool
    expand: Sequence[Mapping[str, Any]] = ()

    @property
    def deferred(self) -> bool:
        """Whether the task waits in the triggerer."""
        return bool(self.arguments.get("deferrable"))

    def to_json(self, workflow: str) -> dict[str, Any]:
        """The story as the DAG file reads it."""
        arguments = {**DEFAULTS, "workflow": workflow, f"{self.system}_conn_id": self.name, **self.arguments}
        if not self.expand:
            arguments.setdefault("query_parameters", {SECONDS[self.system]: self.seconds})
        return {
            "about": self.about,
            "system": self.system,
            "arguments": arguments,
            "expand": list(self.expand),
        }


STORIES: dict[str, Story] = {}


def story(
    system: str,
    *,
    seconds: float = 6,
    arguments: Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
    state: str = "success",
    started: int = 1,
    cancelled: int = 0,
    tries: int | None = None,
    returns: bool = True,
    conn_id: str = "",
    scene: int = 0,
    fast: bool = False,
    name: str = "",
    **more: Any,
) -> Callable[[Play], Play]:
    """Register a story, once for each decorator; its docstring says what is promised.

    :param seconds: how long the remote run takes
    :param arguments: of the operator, besides `DEFAULTS`
    :param settings: switches of the story's own sandbox
    :param returns: whether a task that ends in success has a result
    """

    def registered(play: Play) -> Play:
        called = name or play.__name__
        STORIES[called] = Story(
            name=called,
            about=(play.__doc__ or "").strip(),
            play=play,
            system=system,
            seconds=seconds,
            arguments=arguments or {},
            settings=settings or {},
            state=state,
            started=started,
            cancelled=cancelled,
            tries=tries,
            returns=returns,
            conn_id=conn_id or f"{system}_default",
            scene=scene,
            fast=fast,
            **more,
        )
        return play

    return registered
