"""``add_columns``: facts of the run, and values of the DAG's author, as columns beside the rows.

This module imports no pyarrow, since an operator checks its arguments while a DAG file is parsed.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from airflow_workflow_provider.exceptions import InvalidArgument

FACTS = ("run_id", "state", "system", "conn_id", "workflow", "url", "message", "started_at", "ended_at")
OWN_FACTS = ("output", "index")
PARAMETERS = "parameters."
PLACEHOLDER = re.compile(r"\{(" + "|".join((*FACTS, *OWN_FACTS)) + r"|parameters\.[^{}]+)\}")
_IN_BRACES = re.compile(r"(?<!\{)\{([A-Za-z_.]+)\}(?!\})")
_KNOWN = ", ".join((*FACTS, *OWN_FACTS, "parameters.<name>"))
_SURROGATE = re.compile("[\ud800-\udfff]")


def is_fact(name: str) -> bool:
    """True for the name of a fact of a run."""
    return name in FACTS or name in OWN_FACTS or name.startswith(PARAMETERS)


def checked_columns(add_columns: Any) -> dict[str, Any]:
    """Give ``add_columns`` as column to value; a sequence names facts. Raises `InvalidArgument`."""
    if add_columns is None:
        return {}
    if isinstance(add_columns, (Mapping, list, tuple)) and not all(isinstance(name, str) for name in add_columns):
        raise InvalidArgument(f"add_columns: every column needs a name as text, not {add_columns!r}")
    if isinstance(add_columns, Mapping):
        added = {str(name): value for name, value in add_columns.items()}
    elif isinstance(add_columns, Sequence) and not isinstance(add_columns, str):
        added = {str(name): str(name) for name in add_columns}
        unknown = next((name for name in added if not is_fact(name)), None)
        if unknown is not None:
            raise InvalidArgument(f"add_columns: {unknown!r} is no fact of a run; known are {_KNOWN}")
    else:
        raise InvalidArgument(
            f"add_columns: expected a mapping from column to value, or a list of facts, not {add_columns!r}"
        )
    for name, value in added.items():
        _check_value(name, value)
    return added


def _check_value(name: str, value: Any) -> None:
    if not name:
        raise InvalidArgument("add_columns: a column has no name")
    if not isinstance(value, (str, int, float, Decimal, date, datetime, time, type(None))):
        raise InvalidArgument(f"add_columns[{name!r}]: expected text, a number, a date or a time, not {value!r}")
    if isinstance(value, time) and value.tzinfo is not None:
        raise InvalidArgument(f"add_columns[{name!r}]: expected a time without a zone, not {value!r}")
    if any(isinstance(text, str) and _SURROGATE.search(text) for text in (name, value)):
        raise InvalidArgument(f"add_columns[{name!r}]: the text holds half a surrogate pair, which is not a character")
    if isinstance(value, str):
        _check_facts(name, value)


def _check_facts(name: str, text: str) -> None:
    """Refuse a fact in braces that is misspelled; other words in braces are text."""
    for found in _IN_BRACES.findall(text):
        near = difflib.get_close_matches(found, (*FACTS, *OWN_FACTS, "parameters"), 1, 0.6)
        if near and not is_fact(found):
            meant = "{parameters.<name>}" if near[0] == "parameters" else f"{{{near[0]}}}"
            raise InvalidArgument(
                f"add_columns[{name!r}]: '{{{found}}}' is no fact of a run; did you mean {meant!r}? Known are {_KNOWN}"
            )
