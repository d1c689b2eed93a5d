"""What has happened to workfiles and jobs: the events that tell of results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from . import presenters
from .catalog import User

FIRST = 1_000_001
TRUE = {"true", "1", "t"}


@dataclass(frozen=True)
class Activity:
    """An event of one workfile or job, ready to show."""

    entity: tuple[str, int]
    actor: User
    action: str
    shown: dict[str, Any]


class Activities:
    """All events, oldest first."""

    def __init__(self) -> None:
        self.known: list[Activity] = []

    def add(
        self, kind: str, entity_id: int, actor: User, action: str, at: datetime, content: Mapping[str, Any]
    ) -> None:
        """Note an event; ids rise over all of them."""
        shown = presenters.event(FIRST + len(self.known), actor, action, at, content)
        self.known.append(Activity((kind, entity_id), actor, action, shown))

    def of(self, kind: str, entity_id: int, viewer: User, params: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The events of a record, newest first, as far as the filters let them through."""
        results, own = (str(params.get(name, "")).lower() in TRUE for name in ("results_only", "current_user_only"))
        return [
            one.shown
            for one in reversed(self.known)
            if one.entity == (kind, entity_id)
            and (not results or one.action == "WorkfileResult")
            and (not own or one.actor == viewer)
        ]
