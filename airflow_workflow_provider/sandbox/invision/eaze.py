"""Filters of the JSON Data API: simple comparisons of Eaze, turned into SQL with parameters.

Documented is the form ``{TransID == "10004"}``. Which operators a filter knows besides ``==`` is inferred from what
Eaze is for; functions and arithmetic are not played.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

TOKEN = re.compile(
    r"""\s*(?:(?P<text>"(?:[^"\\]|\\.)*")|(?P<number>-?\d+(?:\.\d+)?)|(?P<name>[A-Za-z_]\w*|\[[^\]]+\])"""
    r"""|(?P<sign>==|!=|<>|<=|>=|&&|\|\||[<>()]))"""
)
COMPARISONS = {"==": "=", "!=": "<>", "<>": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
WORDS = {"and": "&&", "or": "||"}
CONSTANTS = {"true": True, "false": False, "null": None}


class EazeError(ValueError):
    """A filter that cannot be understood."""


@dataclass(frozen=True)
class Condition:
    """The SQL of a filter, its parameters, and the SQL types that they must have."""

    sql: str = "true"
    values: tuple[Any, ...] = ()
    types: tuple[str, ...] = ()


@dataclass
class Filter:
    """Reads a filter on a table of these columns (name to SQL type) from left to right."""

    columns: Mapping[str, str]
    tokens: list[tuple[str, str]]
    values: list[Any] = field(default_factory=list)
    types: list[str] = field(default_factory=list)

    def alternatives(self) -> str:
        """Conditions of which one must hold."""
        return self.joined("||", "OR", self.conditions)

    def conditions(self) -> str:
        """Conditions that all must hold."""
        return self.joined("&&", "AND", self.condition)

    def joined(self, sign: str, word: str, part: Any) -> str:
        """Parts with a sign between them."""
        parts = [part()]
        while self.tokens and self.tokens[0] == ("sign", sign):
            self.take()
            parts.append(part())
        return "(" + f" {word} ".join(parts) + ")"

    def condition(self) -> str:
        """One comparison, or an expression in brackets."""
        kind, text = self.take()
        if text == "(":
            inner = self.alternatives()
            self.expect(")")
            return inner
        column = next((name for name in self.columns if name.lower() == text.strip("[]").lower()), None)
        if kind != "name" or column is None:
            raise EazeError(f"{text} is not a column")
        _, sign = self.take()
        if sign not in COMPARISONS:
            raise EazeError(f"{sign} does not compare")
        return self.comparison(column, COMPARISONS[sign], self.value())

    def comparison(self, column: str, sign: str, value: Any) -> str:
        """The SQL of a comparison; the value goes in as a parameter of the column's type."""
        name = '"' + column.replace('"', '""') + '"'
        if value is None:
            return f"{name} IS {'NOT ' if sign == '<>' else ''}NULL"
        self.values.append(value)
        self.types.append(self.columns[column])
        return f"{name} {sign} CAST(? AS {self.columns[column]})"

    def value(self) -> Any:
        """A literal."""
        kind, text = self.take()
        if kind == "name" and text.lower() in CONSTANTS:
            return CONSTANTS[text.lower()]
        if kind not in ("text", "number"):
            raise EazeError(f"{text} is not a value")
        return json.loads(text)

    def expect(self, sign: str) -> None:
        """Take a sign that must be there."""
        if self.take() != ("sign", sign):
            raise EazeError(f"{sign} is missing")

    def take(self) -> tuple[str, str]:
        """The next token."""
        if not self.tokens:
            raise EazeError("the filter ends too early")
        return self.tokens.pop(0)


def where(text: str, columns: Mapping[str, str]) -> Condition:
    """What a filter with its braces says; raises :class:`EazeError`."""
    inner = text.strip()
    if not (inner.startswith("{") and inner.endswith("}")):
        raise EazeError("a filter stands in braces")
    wanted = Filter(columns, tokens(inner[1:-1]))
    sql = wanted.alternatives()
    if wanted.tokens:
        raise EazeError(f"{wanted.tokens[0][1]} is too much")
    return Condition(sql, tuple(wanted.values), tuple(wanted.types))


def tokens(text: str) -> list[tuple[str, str]]:
    """The words and signs of a filter, each with its kind."""
    found, at = [], 0
    while text[at:].strip():
        match = TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            raise EazeError(f"cannot read {text[at:]!r}")
        kind, word = match.lastgroup, match[match.lastgroup]
        found.append(("sign", WORDS[word.lower()]) if kind == "name" and word.lower() in WORDS else (kind, word))
        at = match.end()
    return found
