"""What the frame wants of a system: the one interface between the shared server and each simulated API."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar

from .settings import Settings

if TYPE_CHECKING:
    from starlette.types import ASGIApp


@dataclass(frozen=True)
class ServedWorkflow:
    """A workflow that the sandbox can really run.

    ``workflow`` is what a DAG author writes, ``parameters`` are query parameters to try it with, ``conn_id`` is the
    connection to run it through where a system has several.
    """

    name: str
    workflow: str
    summary: str
    parameters: Mapping[str, Any] | Sequence[Any] = field(default_factory=dict)
    conn_id: str | None = None


@dataclass
class ServedRun:
    """A run as the sandbox itself knows it, whatever the API would say about it."""

    system: str
    id: str
    workflow: str
    state: str
    parameters: Any
    started_at: datetime
    ended_at: datetime | None = None
    details: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The run with its times as ISO 8601 text in UTC."""
        return asdict(self) | {"started_at": stamp(self.started_at), "ended_at": stamp(self.ended_at)}


class System(ABC):
    """One simulated API.

    Everything here is called on the server's event loop, so an implementation needs no locks. What takes long (real
    SQL, say) belongs in a thread. ``reset`` forgets all runs and data; the frame restores ``settings`` itself.
    """

    key: ClassVar[str]
    settings: Settings

    @abstractmethod
    def mounts(self) -> Mapping[str, ASGIApp]:
        """The ASGI apps by path prefix, as ``{"/carto": app}``; an app sees its prefix as ``root_path``."""

    @abstractmethod
    def connections(self, base_url: str) -> Mapping[str, Mapping[str, Any]]:
        """Airflow connections by conn_id, each with conn_type, host, login, password, extra as far as it has them.

        ``base_url`` is the server's root without a closing slash.
        """

    @abstractmethod
    def describe(self) -> Sequence[ServedWorkflow]:
        """The workflows to run."""

    @abstractmethod
    def runs(self) -> Sequence[ServedRun]:
        """Every run so far, oldest first."""

    def figures(self) -> Mapping[str, Any]:
        """What the system has counted since the last reset, for tests that compare costs."""
        return {}

    @abstractmethod
    def reset(self) -> None:
        """Forget all runs and what they made."""

    def stop(self) -> None:  # noqa: B027 - a system without threads of its own has nothing to stop
        """Break off what still runs, because the server ends."""


def now() -> datetime:
    """This moment, aware, in UTC."""
    return datetime.now(UTC)


def stamp(moment: datetime | None) -> str | None:
    """A time as ISO 8601 with milliseconds and ``Z``, the form most of the simulated APIs use."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z" if moment else None
