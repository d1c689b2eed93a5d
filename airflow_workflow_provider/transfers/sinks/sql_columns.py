"""Which columns of a table the columns of an output go into, and which of them keep text as it is spelled."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass


def own_names(name: str, existing: Collection[str]) -> list[str]:
    """Give a table's columns that may be meant by a name: of the same name, else those that differ in case alone."""
    if name in existing:
        return [name]
    return [own for own in existing if own.casefold() == name.casefold()]


@dataclass(frozen=True)
class TextColumns:
    """The columns of an output that go into columns of text.

    ``existing`` are all columns of the table, ``texts`` those of text, ``chosen`` gives the table's name for the
    source's (None: the same).
    """

    existing: Collection[str]
    texts: Collection[str]
    chosen: Mapping[str, str] | None = None

    def __contains__(self, name: object) -> bool:
        source = str(name)
        own = own_names((self.chosen or {}).get(source, source), self.existing)
        return len(own) == 1 and own[0] in self.texts
