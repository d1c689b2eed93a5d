"""The workflows and collections of the sandbox's Stevesie account."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from . import extracts
from .extracts import Found
from .order import Order
from .settings import Outcome


@dataclass
class Collection:
    """A list of inputs that can be added to and removed from."""

    id: str
    name: str
    items: list[str]


@dataclass(frozen=True)
class Mapping:
    """Where a workflow's variable gets its values from, unless an execution parameter of that name says otherwise."""

    id: str
    variable: str
    collection_id: str

    def to_json(self) -> dict[str, Any]:
        """The mapping as the API shows it."""
        return {
            "id": self.id,
            "target_variable_name": self.variable,
            "source_collection_id": self.collection_id,
            "source_collection_json_key": None,
        }


@dataclass(frozen=True)
class Workflow:
    """A workflow: what it extracts from which inputs, and how it ends by itself."""

    id: str
    name: str
    summary: str
    extract: Callable[[Order, Sequence[str]], list[Found]]
    mapping: Mapping | None = None
    outcome: Outcome = "normal"
    sleeps: bool = False
    parameters: tuple[tuple[str, Any], ...] = ()

    def to_json(self, *, whole: bool = True) -> dict[str, Any]:
        """The workflow as the API shows it; a list has only id and name."""
        short = {"id": self.id, "name": self.name}
        return short | {"mappings": [self.mapping.to_json()] if self.mapping else []} if whole else short


def fixed_id(kind: int, number: int) -> str:
    """An id in the form of the real ones, the same in every sandbox."""
    return f"5e7e51e0-{kind:04x}-4000-8000-{number:012x}"


def mapping(number: int, variable: str) -> Mapping:
    """The mapping of a variable to the collection of that number."""
    return Mapping(fixed_id(2, number), variable, fixed_id(3, number))


def collections() -> dict[str, Collection]:
    """A fresh set of all collections by id; the user ids are those of the vendor's page."""
    made = (
        Collection(fixed_id(3, 1), "Symbols", ["AAPL", "AMZN", "GOOG", "IBM", "MSFT"]),
        Collection(fixed_id(3, 2), "Years", ["2012", "2013", "2014", "2015"]),
        Collection(fixed_id(3, 3), "User IDs", ["43823188", "50834309", "54546072", "192946169"]),
    )
    return {one.id: one for one in made}


WORKFLOWS = (
    Workflow(
        fixed_id(1, 1),
        "Stock prices",
        "monthly prices of the symbols in a collection; one result",
        extracts.stock_prices,
        mapping(1, "symbol"),
        parameters=(("min_timestamp", 1230768000), ("max_timestamp", 1262304000)),
    ),
    Workflow(
        fixed_id(1, 2),
        "Seattle weather",
        "months and days of the years in a collection; two results",
        extracts.seattle_weather,
        mapping(2, "year"),
        parameters=(("year", ["2015"]),),
    ),
    Workflow(fixed_id(1, 3), "Users", "one row per item of a collection", extracts.users, mapping(3, "user_id")),
    Workflow(fixed_id(1, 4), "Many rows", "as many rows as you like", extracts.many_rows, parameters=(("rows", 1000),)),
    Workflow(fixed_id(1, 5), "Echo", "what it was asked", extracts.echo, parameters=(("label", "text"),)),
    Workflow(
        fixed_id(1, 6),
        "Slow",
        "runs for as many seconds as you like",
        extracts.one_row,
        sleeps=True,
        parameters=(("seconds", 30),),
    ),
    Workflow(fixed_id(1, 7), "Empty", "completes without a result", extracts.nothing, outcome="empty"),
    Workflow(fixed_id(1, 8), "Broken", "fails as the switch failure_style says", extracts.nothing, outcome="broken"),
    Workflow(fixed_id(1, 9), "Never completes", "stays without completed_at", extracts.nothing, outcome="never"),
)
