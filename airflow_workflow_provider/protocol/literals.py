"""Checks of arguments while a DAG file is parsed: only of plain values, since a template may still become anything."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date, timedelta
from decimal import Decimal
from math import isfinite
from typing import Any

from airflow_workflow_provider.exceptions import InvalidArgument, InvalidConnection
from airflow_workflow_provider.protocol.durations import seconds_of
from airflow_workflow_provider.protocol.model import parse_runs

TEMPLATE_MARKS = ("{{", "{%", "{#")


def is_literal(value: Any) -> bool:
    """True for a value that is known while a DAG file is parsed.

    These are None, numbers, bools, dates, durations, text without a template, and lists and mappings of them. XComs
    and mapped values are none.
    """
    if isinstance(value, str):
        return not any(mark in value for mark in TEMPLATE_MARKS)
    if isinstance(value, Mapping):
        return all(map(is_literal, (*value.keys(), *value.values())))
    if isinstance(value, (list, tuple, set, frozenset)):
        return all(map(is_literal, value))
    return value is None or isinstance(value, (int, float, Decimal, date, timedelta))


def is_json(value: Any) -> bool:
    """True for text that starts as a JSON list or object does: it is read when the task runs."""
    return isinstance(value, str) and value.lstrip()[:1] in ("[", "{")


def check_seconds(**arguments: Any) -> None:
    """Refuse a literal that is no duration above 0. Raises `InvalidArgument`, which names the argument."""
    for name, value in arguments.items():
        if is_literal(value):
            seconds_of(name, value)


def check_choice(name: str, value: Any, choices: Collection[str], *, also: Collection[str] = ()) -> None:
    """Refuse a literal that is none of the choices; None is no choice and passes. Raises `InvalidArgument`.

    ``also`` are spellings that a system takes besides and that the message does not list; with them, case is ignored.
    """
    text = str(value).strip()
    known = {choice.lower() for choice in (*choices, *also)} if also else set(choices)
    if value is not None and is_literal(value) and (text.lower() if also else text) not in known:
        listed = " or ".join(map(repr, choices)) if len(choices) == 2 else f"one of {', '.join(choices)}"
        raise InvalidArgument(f"{name}: expected {listed}, not {value!r}")


def check_flags(owner: Any, *names: str) -> None:
    """Refuse a switch that is not True or False: the text ``"false"`` would switch it on.

    ``names`` are attributes of ``owner`` that are no template fields. Raises `InvalidArgument`.
    """
    for name in names:
        value = getattr(owner, name)
        if not (isinstance(value, int) and value in (0, 1)):
            hint = "" if is_literal(value) else "; it is no template field, so the value must be known in the DAG file"
            raise InvalidArgument(f"{name}: expected True or False, not {value!r}{hint}")


def check_text(name: str, value: Any, *, number: bool = False, optional: bool = False, wanted: str = "") -> None:
    """Refuse a literal that is empty or no text. Raises `InvalidArgument`, which names the argument.

    :param wanted: what the text stands for, such as ``"its id"``.
    :param number: a whole number is taken as well.
    :param optional: None is taken as well.
    """
    if not is_literal(value) or (optional and value is None):
        return
    hint = f"; give {wanted}" if wanted else ""
    if value is None:
        raise InvalidArgument(f"{name}: is missing{hint}")
    if isinstance(value, bool) or not isinstance(value, (str, int) if number else str):
        raise InvalidArgument(f"{name}: expected {wanted or 'text'}, not {value!r}")
    if isinstance(value, str) and not value.strip():
        raise InvalidArgument(f"{name}: is empty{hint}")


def check_conn_id(name: str, value: Any, *, optional: bool = True) -> None:
    """Refuse a literal that names no connection; None passes where it is optional. Raises `InvalidConnection`."""
    try:
        check_text(name, value, optional=optional)
    except InvalidArgument as error:
        raise InvalidConnection(str(error)) from None


def check_run(run: Any, system: Any) -> None:
    """Refuse text and numbers that are no run, also in a list. Raises `InvalidArgument`.

    A run object, and None, are checked when the task runs: most come from another task.

    :param system: the key of the system of bare ids, if it is known.
    """
    given = run if isinstance(run, (list, tuple)) else [run]
    if is_literal(run) and any(isinstance(one, (str, int, float)) for one in given):
        parse_runs(run, system=system or "", conn_id="?")


def check_number(name: str, value: Any, least: float, *, whole: bool = False) -> None:
    """Refuse a literal that is no number, or is below ``least``; None passes. Raises `InvalidArgument`."""
    if value is None or not is_literal(value):
        return
    try:
        number = (int if whole and isinstance(value, str) else float)(value)
    except (TypeError, ValueError, OverflowError):
        number = float("nan")
    if isinstance(value, bool) or not isfinite(number) or number < least or (whole and number != int(number)):
        wanted = f"a whole number above {least - 1}" if whole else f"a number of {least} or more"
        raise InvalidArgument(f"{name}: expected {wanted}, not {value!r}")


def check_mapping(name: str, value: Any) -> None:
    """Refuse a literal that is no mapping with names as keys; None and JSON text pass. Raises `InvalidArgument`."""
    if value is None or is_json(value):
        return
    if isinstance(value, Mapping):
        odd = next((key for key in value if not isinstance(key, str) or not key), None)
        if odd is not None:
            raise InvalidArgument(f"{name}: every key must be a name, not {odd!r}")
    elif is_literal(value):
        raise InvalidArgument(f"{name}: expected a mapping, not {value!r}")
