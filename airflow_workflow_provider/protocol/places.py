"""Places in an answer: how a declaration names one, and what stands there.

A place is a dotted path (``"state.type"``, ``"items.0.id"``), or a function that is given the document.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

Place = str | Callable[[Any], Any]
# JSONPath, which is written in other tools: ``$.id``, ``items[0]``, ``items[*]``.
_JSON_PATH = re.compile(r"^\$\.?|\[(\d+|\*|'.*')\]")


def found(document: Any, place: Any) -> Any:
    """Give what stands at a place of a document; None where there is nothing. An empty place is the document itself."""
    if callable(place):
        try:
            return place(document)
        except (
            LookupError,
            TypeError,
            ValueError,
            AttributeError,
            ArithmeticError,
        ):  # the answer has not what it reads
            return None
    value = document
    for name in str(place).split(".") if place else ():
        if isinstance(value, Mapping):
            value = value.get(name)
        elif isinstance(value, list) and name.isdecimal() and int(name) < len(value):
            value = value[int(name)]
        else:
            return None
    return value


def shown(place: Any) -> str:
    """Spell a place of an answer for people."""
    return repr(place) if isinstance(place, str) else getattr(place, "__name__", "a function")


def named(value: Any) -> str:
    """Name the type of a value, or a type, for an error."""
    return value.__name__ if isinstance(value, type) else type(value).__name__


def wrong_place(place: Any) -> Iterator[str]:
    """Say what is wrong with a place."""
    if isinstance(place, str):
        if _JSON_PATH.search(place):
            yield f"{place!r} looks like JSONPath; expected a dotted path such as 'items.0.id'"
        elif place != place.strip() or (place and not all(place.split("."))):
            yield f"{place!r} has an empty part; expected a dotted path such as 'items.0.id'"
    elif isinstance(place, type) or not callable(place):
        yield f"expected a dotted path or a function, not {named(place)}"
    elif not takes_one(place):
        yield "expected a function that takes one argument, the document"


def takes_one(function: Callable[..., Any]) -> bool:
    """Say whether a function can be called with one argument; True where nothing tells."""
    try:
        inspect.signature(function).bind(None)
    except TypeError:
        return False
    except ValueError:  # a built-in function without a signature
        return True
    return True
