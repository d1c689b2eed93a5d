"""Names in SQL: read from what users write, and always written in quotes."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from airflow_workflow_provider.exceptions import InvalidArgument
from airflow_workflow_provider.transfers.sql.dialects import SqlDialect

_QUOTED = r'"(?:[^"]|"")+"|`(?:[^`]|``)+`'
_BARE = r"[\w$#@][\w $#@%-]*"
_PART = re.compile(rf"({_QUOTED})|({_BARE})")
_STATEMENT = re.compile(
    r"(?i)(?:(?:select|insert|update|delete|drop|create|alter|merge|call|truncate|table)\s|with\s+[\w$]+\s+as\b)"
)
_PLAIN = re.compile(r"\w+")


@dataclass(frozen=True)
class TableName:
    """A table: its name, and the schema (and database) before it."""

    parts: tuple[str, ...]
    dialect: SqlDialect

    @property
    def sql(self) -> str:
        """The name as SQL, safe whatever it holds."""
        return ".".join(quoted(part, self.dialect) for part in self.parts)

    @property
    def table(self) -> str:
        """The name without its schema."""
        return self.parts[-1]

    @property
    def schema(self) -> str | None:
        """The schema, if the user named one."""
        return self.parts[-2] if len(self.parts) > 1 else None

    def beside(self, table: str) -> TableName:
        """Give a table of another name in the same schema."""
        return TableName((*self.parts[:-1], table), self.dialect)


def quoted(name: str, dialect: SqlDialect) -> str:
    """Quote one name."""
    return f"{dialect.quote}{name.replace(dialect.quote, dialect.quote * 2)}{dialect.quote}"


def parse_table(text: str, dialect: SqlDialect) -> TableName:
    """Read ``table``, ``schema.table`` or ``database.schema.table``; a part in quotes may hold anything.

    A name without quotes means what it means in the database's own SQL (PostgreSQL: lower case). What is no name,
    such as a statement, is `InvalidArgument`.
    """
    given = text.strip() if isinstance(text, str) else ""
    if not given:
        raise InvalidArgument("table: is empty")
    parts, at = [], 0
    while at <= len(given):
        match = _PART.match(given, at)
        bare = (match[2] or "") if match else ""
        if _STATEMENT.match(bare):
            raise InvalidArgument(
                f"table: {given!r} is a statement, not a name; expected table, schema.table, or an odd name in double "
                "quotes"
            )
        if match is None or "--" in bare or given[match.end() : match.end() + 1] not in ("", "."):
            break
        parts.append(_unquoted(match[1]) if match[1] else _folded(match[2].strip(), dialect))
        at = match.end() + 1
    if at != len(given) + 1 or len(parts) > 3 or "\0" in given:
        raise InvalidArgument(f"table: {given!r} is no name; expected table or schema.table, odd ones in double quotes")
    for part in parts:
        check_length(part, dialect, "table")
    return TableName(tuple(parts), dialect)


def check_apart(names: Iterable[str], dialect: SqlDialect) -> None:
    """Refuse two names of one table: what goes in under the second would be taken to replace the first."""
    known: dict[tuple[str, ...], str] = {}
    for name in names:
        parts = parse_table(name, dialect).parts
        seen = parts if dialect.sees_case else tuple(map(str.casefold, parts))
        if (other := known.setdefault(seen, name)) != name:
            raise InvalidArgument(f"table: {other!r} and {name!r} may be one table; keep them apart with {{index}}")


def check_length(name: str, dialect: SqlDialect, what: str, hint: str = "") -> None:
    """Refuse a name that the database would cut off without a word."""
    if "\0" in name:
        raise InvalidArgument(f"{what}: the name {name!r} holds a zero byte")
    size = len(name.encode() if dialect.name_unit == "bytes" else name)
    if dialect.longest_name is not None and size > dialect.longest_name:
        allowed = f"{dialect.longest_name} {dialect.name_unit}"
        raise InvalidArgument(f"{what}: the name {name!r} has more than the {allowed} that {dialect.name} allows{hint}")


def _unquoted(part: str) -> str:
    return part[1:-1].replace(part[0] * 2, part[0])


def _folded(part: str, dialect: SqlDialect) -> str:
    return dialect.fold(part) if _PLAIN.fullmatch(part) else part


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
