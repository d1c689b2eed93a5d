"""Systems that other distributions register by the entry point group ``airflow_workflow_provider.systems``.

An entry point's name is the key, its value ``package.module:Class``. Finding the keys reads the metadata of installed
distributions and imports none of them. A system is imported when its key is used, so one that is broken or slow
harms no other.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any

from airflow_workflow_provider.exceptions import InvalidArgument
from airflow_workflow_provider.protocol.text import one_line

if TYPE_CHECKING:
    from airflow_workflow_provider.protocol.system import WorkflowSystem

GROUP = "airflow_workflow_provider.systems"
SDK_VERSION = (1, 0)
"""Version of the contract: the second number grows with additions, the first one with what breaks a system."""

_loaded: dict[tuple[str, str], type[WorkflowSystem]] = {}
_failed: dict[tuple[str, str], str] = {}
_stand_ins: dict[str, type[WorkflowSystem]] = {}


@lru_cache(maxsize=1)
def registered() -> Mapping[str, tuple[EntryPoint, ...]]:
    """Give the entry points of other distributions by their key; several of one key are a mistake, see `load`."""
    found: dict[str, dict[tuple[str, str], EntryPoint]] = {}
    for point in entry_points(group=GROUP):
        # A distribution that is found twice on the path is one.
        found.setdefault(point.name, {})[distribution_of(point), point.value] = point
    return {key: tuple(points.values()) for key, points in sorted(found.items())}


def distribution_of(point: EntryPoint) -> str:
    """Name the distribution that an entry point belongs to, with its version."""
    try:
        name, version = (point.dist.name, point.dist.version) if point.dist else ("", "")
    except (LookupError, AttributeError, TypeError, OSError):  # its metadata cannot be read
        name, version = "", ""
    return f"{name} {version or ''}".strip() if name else "an unknown distribution"


@contextmanager
def standing_in(system: type[WorkflowSystem]) -> Iterator[None]:
    """Let a class be the system of its key while a block runs, as if a distribution had registered it: for tests."""
    before = dict(_stand_ins)
    _stand_ins[system.key] = system
    try:
        yield
    finally:
        _stand_ins.clear()
        _stand_ins.update(before)


def is_loaded(key: str) -> bool:
    """True where the system of this key needs no import any more."""
    return key in _stand_ins or any(known == key for known, _ in _loaded)


def load(key: str) -> type[WorkflowSystem] | None:
    """Load the system that a distribution has registered under this key; None where there is none.

    Raises `InvalidArgument`, which names class, field and distribution.
    """
    if key in _stand_ins:
        return _stand_ins[key]
    points = registered().get(key, ())
    if not points:
        return None
    if len(points) > 1:
        names = " and ".join(distribution_of(point) for point in points)
        raise InvalidArgument(f"system: {key!r} is registered by {names}; uninstall all but one of them.")
    (point,) = points
    place = (key, point.value)
    if place not in _loaded:
        origin = f"of {distribution_of(point)}"
        if place in _failed:  # importing it again would cost its time again
            raise InvalidArgument(_failed[place])
        try:
            found = point.load()
            check(found, key, f"{point.value} {origin}")
        except InvalidArgument as error:
            _failed[place] = str(error)
            raise
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # whatever a module does when it is imported
            _failed[place] = f"system: {key!r} {origin} cannot be loaded from {point.value}. {_told(error)}"
            raise InvalidArgument(_failed[place]) from error
        found.distribution = distribution_of(point)
        _loaded[place] = found
    return _loaded[place]


def _told(error: BaseException) -> str:
    """Say what went wrong in an import, and what may be the reason where a name of the SDK is missing."""
    text = one_line(f"{type(error).__name__}: {error}")[:1_000]
    is_newer = isinstance(error, (ImportError, AttributeError)) and "airflow_workflow_provider.sdk" in text
    if is_newer or (isinstance(error, TypeError) and "unexpected keyword argument" in text):
        version = ".".join(map(str, SDK_VERSION))
        text += f". This airflow-workflow-provider has version {version} of the SDK; a newer one may have that name"
    return text


def check(found: Any, key: str, where: str) -> None:
    """Raise `InvalidArgument` for what is no system of this key; the message names the class and the field."""
    for reason in _mistakes(found, key):
        raise InvalidArgument(f"system: {key!r}, {where}: {reason}")


def _mistakes(found: Any, key: str) -> Iterator[str]:
    """Say what is wrong with a class; each sentence holds only where those before it were not said."""
    from airflow_workflow_provider.protocol.system import WorkflowSystem, wrong_fields

    if not isinstance(found, type) or not issubclass(found, WorkflowSystem):
        yield f"it is no subclass of WorkflowSystem, but {found!r:.100}."
    needed = getattr(found, "needs_sdk", SDK_VERSION)
    if not isinstance(needed, tuple) or len(needed) != len(SDK_VERSION) or not all(type(n) is int for n in needed):
        yield f"its field 'needs_sdk' is {needed!r}; expected two numbers such as {SDK_VERSION}."
    if needed[0] != SDK_VERSION[0] or needed > SDK_VERSION:
        have, want = (".".join(map(str, version)) for version in (SDK_VERSION, needed))
        yield f"it needs version {want} of the SDK, and this airflow-workflow-provider has {have}."
    if inspect.isabstract(found):
        yield f"it lacks {', '.join(sorted(found.__abstractmethods__))}."
    for name, reason in wrong_fields(found):
        yield f"its field {name!r} {reason}."
    if found.key != key:
        yield f"its field 'key' is {found.key!r}, and the entry point is called {key!r}."
