"""The arguments ``columns`` and ``column_types``, read without pyarrow: an operator checks them while it is parsed."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from airflow_workflow_provider.exceptions import InvalidArgument

# Names of types without arguments: Arrow's own, and those that ``parameter_types`` knows for the same thing.
PLAIN: Mapping[str, str] = {
    **{f"{sign}int{bits}": f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)},
    **{name: name for name in ("float32", "float64", "string", "large_string", "binary", "bool", "date32")},
    "date": "date32",
    "timestamp": "timestamp[us, UTC]",
    "datetime": "timestamp[us]",
    "int": "int64",
    "integer": "int64",
    "bigint": "int64",
    "float": "float64",
    "double": "float64",
    "number": "float64",
    "boolean": "bool",
    "str": "string",
    "text": "string",
    "json": "string",
    "decimal": "decimal128(38, 9)",
    "numeric": "decimal128(38, 9)",
}
_WITH_ARGUMENTS = re.compile(r"(\w+)\s*[\[(]([^\])]*)[\])]")


def _decimal(most: int) -> Callable[..., tuple[str, ...]]:
    def read(precision: str, scale: str = "0") -> tuple[str, ...]:
        if not 1 <= int(precision) <= most:
            raise ValueError(f"the number of digits is between 1 and {most}")
        if not -most <= int(scale) <= most:
            raise ValueError(f"the number of decimal places is at most {most}")
        return str(int(precision)), str(int(scale))

    return read


def _timestamp(unit: str, zone: str = "") -> tuple[str, ...]:
    name = zone.removeprefix("tz=").strip()
    if not name:
        return (_unit("s", "ms", "us", "ns")(unit)[0],)
    if name.upper() in ("UTC", "Z", "+00:00"):
        name = "UTC"
    else:
        from zoneinfo import ZoneInfo

        name = ZoneInfo(name).key
    return _unit("s", "ms", "us", "ns")(unit)[0], name


def _unit(*known: str) -> Callable[[str], tuple[str, ...]]:
    def read(unit: str) -> tuple[str, ...]:
        if unit not in known:
            raise ValueError(f"the unit is one of {', '.join(known)}")
        return (unit,)

    return read


_READ: Mapping[str, tuple[str, Callable[..., tuple[str, ...]]]] = {
    "decimal128": ("decimal128", _decimal(38)),
    "decimal256": ("decimal256", _decimal(76)),
    "decimal": ("decimal128", _decimal(38)),
    "numeric": ("decimal128", _decimal(38)),
    "timestamp": ("timestamp", _timestamp),
    "time32": ("time32", _unit("s", "ms")),
    "time64": ("time64", _unit("us", "ns")),
}


def type_parts(name: Any, column: str) -> tuple[str, tuple[str, ...]]:
    """Give the Arrow type's own name and its arguments: ``("decimal128", ("12", "2"))`` for ``numeric(12, 2)``.

    Raises `InvalidArgument`, which names the column.
    """
    text = str(name).strip()
    text = PLAIN.get(text.lower(), text)
    if text in PLAIN:
        return text, ()
    match = _WITH_ARGUMENTS.fullmatch(text)
    kind, read = _READ.get(match[1].lower() if match else "", ("", None))
    if match is None or read is None:
        known = ", ".join(["int64", "float64", "string", "bool", "date32", *(f"{made}(…)" for made in _READ)])
        raise InvalidArgument(f"column_types[{column!r}]: unknown type {text!r}; known are {known}")
    try:
        return kind, read(*(part.strip() for part in match[2].split(",")))
    except (TypeError, ValueError, KeyError, OSError) as error:
        raise InvalidArgument(f"column_types[{column!r}]: {text!r} is not a type: {error}") from error


def checked_types(types: Any) -> Mapping[str, Any]:
    """Give ``column_types`` as a mapping from column to type; None is empty. Raises `InvalidArgument`."""
    if types is None:
        return {}
    if not isinstance(types, Mapping):
        raise InvalidArgument(f"column_types: expected a mapping from column to type, not {type(types).__name__}")
    return {str(column): kind for column, kind in types.items()}


def chosen_columns(columns: Mapping[str, str] | Sequence[str] | None) -> dict[str, str] | None:
    """Give ``columns`` as a mapping from source to target; None is all of them. Raises `InvalidArgument`."""
    if columns is None:
        return None
    listed = list(columns.items()) if isinstance(columns, Mapping) else _listed(columns)
    if listed is None or not all(isinstance(name, str) for pair in listed for name in pair):
        raise InvalidArgument("columns: expected a list of column names, or a mapping from column to new name")
    if not listed:
        raise InvalidArgument("columns: is empty; leave it out to keep all columns")
    targets = [target for _, target in listed]
    twice = next((name for name in targets if targets.count(name) > 1), None)
    if twice is not None:
        raise InvalidArgument(f"columns: two columns would be called {twice!r}")
    return dict(listed)


def _listed(columns: Any) -> list[tuple[str, str]] | None:
    if isinstance(columns, (str, bytes)) or not hasattr(columns, "__iter__"):
        return None
    return [(name, name) for name in columns]
