"""The shape of an app: its questions, its outputs, and how it behaves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

YXDB = ("Raw", "Yxdb", "Csv")
CSV = ("Raw", "Csv")
INFO, WARNING, ERROR, CONVERSION_ERROR = 1, 2, 3, 5
ENGINE = -1  # the tool id of messages that no tool of the workflow wrote

Message = tuple[int, str, int]


@dataclass(frozen=True)
class Question:
    """A question of an app's interface; ``variable`` is its name in the app's SQL, ``value`` its default answer."""

    name: str
    variable: str
    type: str
    value: str = ""
    description: str = ""
    items: tuple[str, ...] = ()
    multiple: bool = False


@dataclass(frozen=True)
class Output:
    """A file that an app leaves: its name, DuckDB SQL with ``$variable`` parameters, the formats it is offered in."""

    name: str
    sql: str
    formats: tuple[str, ...] = YXDB


@dataclass(frozen=True)
class App:
    """A published app; ``sleeps`` and ``fails`` name the variable that holds its seconds or its error.

    ``needs`` maps variables to the error that is logged when they are left empty.
    """

    id: str
    name: str
    summary: str
    questions: tuple[Question, ...] = ()
    outputs: tuple[Output, ...] = ()
    messages: tuple[Message, ...] = ()
    sleeps: str | None = None
    fails: str | None = None
    needs: Mapping[str, str] = field(default_factory=dict)
    never_ends: bool = False
    executable: bool = True
    amp: bool = False

    @property
    def file_name(self) -> str:
        """The file that was uploaded."""
        return f"{self.name}.yxwz"

    def answers(self, given: Sequence[tuple[str, str | None]]) -> dict[str, str]:
        """The answers by variable: the default where none is given or it is null; unknown names do not count."""
        answered = {name: value for name, value in given if value is not None}
        return {question.variable: answered.get(question.name, question.value) for question in self.questions}

    def unknown(self, given: Sequence[tuple[str, str | None]]) -> list[str]:
        """The names that are no question of this app."""
        known = {question.name for question in self.questions}
        return [name for name, _ in given if name not in known]

    def problems(self, answers: Mapping[str, str]) -> list[Message]:
        """The errors that these answers lead to."""
        missing = [(ERROR, text, 694) for variable, text in self.needs.items() if not answers[variable]]
        return missing + ([(ERROR, answers[self.fails], 12)] if self.fails else [])
