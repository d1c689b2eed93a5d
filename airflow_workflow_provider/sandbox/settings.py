"""The switches of a sandbox system: a dataclass whose fields can be read and changed while it runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints


class UnknownSetting(ValueError):
    """A change names no switch of the system, or gives it a value that it does not take."""


@dataclasses.dataclass
class Settings:
    """Base of every system's switches; each field has a default, and ``restore`` goes back to it.

    Field types may be ``bool``, ``int``, ``float``, ``str``, ``Literal[...]``, ``list[str]`` and unions with ``None``.
    """

    def update(self, changes: Mapping[str, Any]) -> None:
        """Set the named fields, all or none; raises :class:`UnknownSetting`."""
        hints = get_type_hints(type(self))
        for name, value in changes.items():
            if name not in hints:
                raise UnknownSetting(f"Unknown setting {name!r}; known are {', '.join(sorted(hints))}")
            if not fits(value, hints[name]):
                raise UnknownSetting(f"Setting {name!r} takes {spelled(hints[name])}, not {value!r}")
        for name, value in changes.items():
            setattr(self, name, value)

    def restore(self) -> None:
        """Put every field back to its default, keeping this very object."""
        for field, value in dataclasses.asdict(type(self)()).items():
            setattr(self, field, value)

    def to_json(self) -> dict[str, Any]:
        """All fields by name."""
        return dataclasses.asdict(self)


def fits(value: object, hint: Any) -> bool:
    """Whether a JSON value may be stored in a field of this type."""
    check = CHECKS.get(get_origin(hint) or hint)
    return check(value, get_args(hint)) if check else isinstance(value, hint)


def spelled(hint: Any) -> str:
    """A field's type in words."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return " or ".join(spelled(one) for one in arguments)
    if origin is Literal:
        return " or ".join(repr(one) for one in arguments)
    if origin is list:
        return f"a list of {spelled(arguments[0])}"
    if origin is dict:
        return f"an object of {spelled(arguments[1])}"
    return "null" if hint is NoneType else str(hint.__name__)


def is_one_of(value: object, hints: tuple[Any, ...]) -> bool:
    """The check of a union."""
    return any(fits(value, hint) for hint in hints)


CHECKS: dict[Any, Callable[[Any, tuple[Any, ...]], bool]] = {
    Any: lambda value, _: True,
    Union: is_one_of,
    UnionType: is_one_of,
    Literal: lambda value, known: value in known,
    list: lambda value, hints: isinstance(value, list) and all(fits(one, hints[0]) for one in value),
    dict: lambda value, hints: isinstance(value, dict) and all(fits(one, hints[1]) for one in value.values()),
    # JSON's true is no number, though Python's True is an int.
    int: lambda value, _: isinstance(value, int) and not isinstance(value, bool),
    float: lambda value, _: isinstance(value, int | float) and not isinstance(value, bool),
}
