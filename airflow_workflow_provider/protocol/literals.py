"""Checks of arguments while a DAG file is parsed: only of plain values, since a template may still become anything."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from typing import Any

from airflow_workflow_provider.exceptions import InvalidArgument
from airflow_workflow_provider.protocol.durations import seconds_of

TEMPLATE_MARKS = ("{{", "{%", "{#")


def is_literal(value: Any) -> bool:
    """True for a number, a bool, a timedelta and text without a template; XComs and mapped values are none."""
    if isinstance(value, str):
        return not any(mark in value for mark in TEMPLATE_MARKS)
    return isinstance(value, (int, float, timedelta))


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
    if is_literal(value) and (text.lower() if also else text) not in known:
        listed = " or ".join(map(repr, choices)) if len(choices) == 2 else f"one of {', '.join(choices)}"
        raise InvalidArgument(f"{name}: expected {listed}, not {value!r}")


def check_text(name: str, value: Any) -> None:
    """Refuse a literal that is empty text."""
    if isinstance(value, str) and not value.strip():
        raise InvalidArgument(f"{name}: is empty")
