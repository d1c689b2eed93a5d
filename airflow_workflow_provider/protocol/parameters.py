"""Query parameters: from what a DAG author gives to what a request carries.

Rendered templates are text, so ``parameter_types`` turns text into values first; then every value is spelled as
JSON knows it. Both raise `InvalidArgument`, which names the key, before anything is sent.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from enum import Enum
from math import isfinite
from typing import Any
from uuid import UUID

from airflow_workflow_provider.exceptions import InvalidArgument
from airflow_workflow_provider.protocol.times import as_utc, iso

Parameters = Mapping[str, Any] | Sequence[Any]
_INT64 = 2**63


def checked(parameters: Any, name: str = "query_parameters") -> dict[str, Any] | list[Any]:
    """Give the parameters as a dict or a list; None is an empty dict.

    JSON text of either is read too: it is what a template that builds the whole argument renders to.
    """
    if parameters is None:
        return {}
    if isinstance(parameters, str) and parameters.strip()[:1] in ("{", "["):
        try:
            parameters = json.loads(parameters)
        except ValueError as error:
            raise InvalidArgument(f"{name}: looks like JSON, but is not: {error}") from error
    if isinstance(parameters, Mapping):
        odd = [key for key in parameters if not isinstance(key, str) or not key]
        if odd:
            raise InvalidArgument(f"{name}: every key must be a name, not {odd[0]!r}")
        return dict(parameters)
    if isinstance(parameters, (list, tuple)):
        return list(parameters)
    raise InvalidArgument(f"{name}: expected a mapping or a list, not {type(parameters).__name__}")


def converted(parameters: dict[str, Any] | list[Any], types: Mapping[Any, str] | Sequence[str | None] | None) -> Any:
    """Turn text into values as ``parameter_types`` says. None stays None, a value of the type stays itself."""
    if not types:
        return parameters
    if isinstance(parameters, dict) and not isinstance(types, Mapping):
        raise InvalidArgument("parameter_types: is a list, but query_parameters is a mapping; give a mapping to types")
    wanted = types.items() if isinstance(types, Mapping) else enumerate(types)
    return _converted_each(parameters, ((key, kind) for key, kind in wanted if kind))


def _converted_each(parameters: Any, wanted: Iterable[tuple[Any, str]]) -> Any:
    result = parameters.copy()
    for key, kind in wanted:
        place = _place(result, key)
        reader = READERS.get(str(kind).strip().lower())
        if reader is None:
            raise InvalidArgument(f"parameter_types[{key!r}]: unknown type {kind!r}; known: {', '.join(READERS)}")
        if result[place] is None:
            continue
        try:
            result[place] = reader(result[place])
        except (TypeError, ValueError, OverflowError, InvalidOperation) as error:
            shown = str(result[place])[:80]
            raise InvalidArgument(f"query_parameters[{key!r}]: {shown!r} is not of type {kind}") from error
    return result


def _place(parameters: Any, key: Any) -> Any:
    if isinstance(parameters, dict):
        if key in parameters:
            return key
    elif str(key).isdecimal() and int(key) < len(parameters):
        return int(key)
    raise InvalidArgument(f"parameter_types[{key!r}]: query_parameters has no such key")


def _int64(value: Any) -> int:
    number = int(value.strip()) if isinstance(value, str) else int(value)
    if isinstance(value, bool) or (not isinstance(value, str) and number != value) or not -_INT64 <= number < _INT64:
        raise ValueError(value)
    return number


def _float64(value: Any) -> float:
    number = float(value)
    if isinstance(value, bool) or not isfinite(number):
        raise ValueError(value)
    return number


def _bool(value: Any) -> bool:
    word = str(value).strip().lower()
    if word not in ("true", "1", "yes", "false", "0", "no"):
        raise ValueError(value)
    return word in ("true", "1", "yes")


def _timestamp(value: Any) -> datetime:
    if isinstance(value, datetime):
        found: datetime | None = value
    elif isinstance(value, date):
        found = datetime(value.year, value.month, value.day, tzinfo=UTC)
    else:
        found = datetime.fromisoformat(str(value).strip())
    aware = as_utc(found)
    if aware is None:
        raise ValueError(value)
    return aware


def _date(value: Any) -> date:
    if isinstance(value, datetime):
        return value.date()
    return value if isinstance(value, date) else datetime.fromisoformat(str(value).strip()).date()


def _decimal(value: Any) -> Decimal:
    number = Decimal(str(value).strip())
    if isinstance(value, bool) or not number.is_finite():
        raise ValueError(value)
    return number


def _json(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value


READERS: dict[str, Callable[[Any], Any]] = {
    "string": str,
    "int64": _int64,
    "float64": _float64,
    "bool": _bool,
    "timestamp": _timestamp,
    "date": _date,
    "decimal": _decimal,
    "json": _json,
    # Names that the same types have elsewhere.
    "text": str,
    "str": str,
    "int": _int64,
    "integer": _int64,
    "float": _float64,
    "double": _float64,
    "number": _float64,
    "boolean": _bool,
    "datetime": _timestamp,
    "numeric": _decimal,
}


def spelled(value: Any, *, key: str = "query_parameters", moment: Callable[[datetime], Any] = iso) -> Any:
    """Spell a value with JSON's types. ``moment`` spells a datetime as the system wants it; naive ones are UTC.

    Numbers keep their digits: a decimal becomes an int if it is whole, else text only where a float would lose.
    """
    if isinstance(value, Enum):
        value = value.value
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, float):
        if not isfinite(value):
            raise InvalidArgument(f"{key}: {value} cannot be written as JSON")
        return value
    if isinstance(value, datetime):
        return moment(as_utc(value) or value)
    if isinstance(value, (date, time)):
        return value.isoformat()
    return _spelled_rare(value, key, moment)


def _spelled_rare(value: Any, key: str, moment: Callable[[datetime], Any]) -> Any:
    if isinstance(value, Decimal):
        return _spelled_decimal(value, key)
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, Mapping):
        return {str(name): spelled(item, key=f"{key}[{name!r}]", moment=moment) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [spelled(item, key=f"{key}[{index}]", moment=moment) for index, item in enumerate(value)]
    if isinstance(value, (set, frozenset)):
        return sorted((spelled(item, key=key, moment=moment) for item in value), key=str)
    raise InvalidArgument(f"{key}: a value of type {type(value).__name__} cannot be written as JSON")


def _spelled_decimal(value: Decimal, key: str) -> Any:
    if not value.is_finite():
        raise InvalidArgument(f"{key}: {value} cannot be written as JSON")
    if value == value.to_integral_value():
        return int(value)
    return float(value) if Decimal(repr(float(value))) == value else str(value)


def epoch_seconds(value: datetime) -> int:
    """Spell a datetime as whole seconds since 1970."""
    return int((value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp())


def as_text(value: Any) -> str:
    """Spell a JSON value for an API that takes text only: numbers and booleans as JSON writes them."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))


@dataclass(frozen=True)
class Fingerprint:
    """What identifies parameters without showing them: they may hold a secret, and a run store is no place for one.

    ``digest`` is of all parameters in their canonical JSON form, ``names`` has a short digest for each name (or index).
    """

    digest: str
    names: Mapping[str, str]

    @classmethod
    def of(cls, parameters: Any) -> Fingerprint:
        """Make the fingerprint of parameters as a request carries them, or as a server lists them."""
        items = parameters.items() if isinstance(parameters, Mapping) else enumerate(parameters or ())
        return cls(_digest(parameters), {str(name): _digest(value)[:12] for name, value in items})

    def matches(self, parameters: Any) -> bool:
        """True for the same parameters."""
        return _digest(parameters) == self.digest

    def differing(self, other: Fingerprint) -> list[str]:
        """Give the names whose values differ, or that only one of the two has."""
        names = sorted({*self.names, *other.names})
        return [name for name in names if self.names.get(name) != other.names.get(name)]

    def to_json(self) -> dict[str, Any]:
        """Give the fingerprint as a JSON object."""
        return {"digest": self.digest, "names": dict(self.names)}

    @classmethod
    def from_json(cls, value: Any) -> Fingerprint | None:
        """Read it from a JSON object; None for anything else."""
        if not isinstance(value, Mapping) or not isinstance(value.get("digest"), str):
            return None
        names = value.get("names")
        return cls(value["digest"], dict(names) if isinstance(names, Mapping) else {})


def _digest(value: Any) -> str:
    text = json.dumps(_canonical(value), sort_keys=True, separators=(",", ":"), default=repr)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _canonical(value: Any) -> Any:
    """Give equal JSON for values that an API takes for the same: 1 and 1.0."""
    if isinstance(value, Mapping):
        return {str(name): _canonical(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_canonical(item) for item in value]
    if isinstance(value, float) and isfinite(value) and value.is_integer():
        return int(value)
    return value
