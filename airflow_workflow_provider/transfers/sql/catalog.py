"""What a database's catalog says of one table, and how the database keeps two loads of it apart.

A table is resolved once, to its full identity: the schema that the search path leads to, and the name as the catalog
spells it. Everything afterwards uses this identity only.
"""
# ruff: noqa: S608 (names are quoted, values are parameters)

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from airflow_workflow_provider.exceptions import InvalidArgument, WorkflowError
from airflow_workflow_provider.transfers.sql.columns import (
    TargetColumn,
    duckdb_type,
    mysql_type,
    postgres_type,
    sqlite_type,
)
from airflow_workflow_provider.transfers.sql.dialects import MARK, SqlDialect
from airflow_workflow_provider.transfers.sql.names import TableName, quoted


class Asks(Protocol):
    """What runs statements; `session.SqlSession` is one. Every parameter is marked with `MARK`."""

    def run(self, statement: str, parameters: Sequence[Any] | None = None) -> None:
        """Run one statement."""

    def rows(self, statement: str, parameters: Sequence[Any] | None = None) -> list[tuple[Any, ...]]:
        """Run a query and give its rows."""


@dataclass(frozen=True)
class Target:
    """A table by its identity, as it is now.

    ``columns`` is None where there is no such table. ``takes_copy`` is False where COPY or LOAD DATA would pass by what
    INSERT obeys (row-level security, rules, a trigger) or is refused (a view). ``alone`` says that statements must be
    kept from tables that inherit from this one. ``cascades`` are the tables that a DELETE would reach through a foreign
    key, ``cascades_within`` says that it would reach further rows of the same table. ``triggers`` run with statements.
    ``keeps_from_truncate`` is the reason why TRUNCATE would do other things than DELETE. ``lost`` is what a table that
    is made from the start would lack, ``restored`` the statements that give such a table what can be given, with
    ``{t}`` for its name, by the column that they need, or by an empty text. ``indexes`` are lost as well, and so is
    what ``forgotten`` says; neither changes a row. ``is_view`` means that a row may be taken and not be seen.
    """

    name: TableName
    columns: Mapping[str, TargetColumn] | None = None
    takes_copy: bool = True
    alone: bool = False
    cascades: tuple[str, ...] = ()
    cascades_within: bool = False
    triggers: tuple[str, ...] = ()
    keeps_from_truncate: str = ""
    lost: tuple[str, ...] = ()
    restored: tuple[tuple[str, str], ...] = ()
    indexes: tuple[str, ...] = ()
    forgotten: tuple[str, ...] = ()
    is_view: bool = False

    @property
    def is_there(self) -> bool:
        """True if there is such a table."""
        return self.columns is not None

    @property
    def rows_sql(self) -> str:
        """The table's name for statements that read or change its rows."""
        return f"ONLY {self.name.sql}" if self.alone else self.name.sql

    @property
    def declared(self) -> dict[str, str]:
        """The columns' types as the database spells them."""
        return {name: column.declared for name, column in (self.columns or {}).items()}


class Catalog:
    """What is asked of any database: nothing is known but what a SELECT tells."""

    locks = "the line of the load log"

    def resolve(self, ask: Asks, name: TableName) -> TableName:
        """Give the identity of a table that is or will be there."""
        return name

    def look(self, ask: Asks, name: TableName) -> Target:
        """Describe a table by its identity."""
        return Target(name)

    def look_at_columns(self, ask: Asks, name: TableName) -> Target:
        """Describe a table that is read only: its columns, and what its rows are called in a query."""
        return self.look(ask, name)

    def lock(self, ask: Asks, name: TableName, seconds: float) -> Callable[[], None]:
        """Wait until no other load of this table is under way; give what ends a lock that outlives the transaction."""
        return _nothing

    def on_conflict(self, ask: Asks, name: TableName) -> str:
        """Give what stands behind INSERT and UPDATE, so that a unique key that is broken is an error."""
        return ""


def _nothing() -> None:
    """End a lock that ends with the transaction."""


def lock_name(name: TableName) -> str:
    """Give the name of the lock of a table; the same for every task that loads it."""
    return hashlib.sha256("\0".join(name.parts).encode()).hexdigest()[:32]


def lock_timed_out(name: TableName, seconds: float, owner: str) -> WorkflowError:
    """Make the error of a load that has waited too long for another one."""
    who = f" It is held by {owner}." if owner else ""
    return WorkflowError(
        f"lock_timeout: another load of the table {name.sql} did not end within {seconds:g} seconds.{who} "
        "Wait for it, or give lock_timeout more seconds"
    )


def text_of(value: Any) -> str:
    """Give a catalog's text, which some drivers give as bytes."""
    return value.decode() if isinstance(value, bytes) else str(value)


_NOT_PRIMARY = (
    "NOT EXISTS (SELECT 1 FROM pg_index i WHERE i.indrelid = a.attrelid AND i.indisprimary "
    "AND a.attnum = ANY(i.indkey))"
)
_PUBLICATIONS = (
    "SELECT p.pubname FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid WHERE r.prrelid = {}"
)


class PostgresCatalog(Catalog):
    """PostgreSQL 12 and newer; older ones have neither generated nor identity columns."""

    locks = "pg_advisory_xact_lock"

    def resolve(self, ask: Asks, name: TableName) -> TableName:
        """Resolve the table by the catalog."""
        parts = name.parts
        if len(parts) == 3:
            current = text_of(ask.rows("SELECT current_database()")[0][0])
            if parts[0] != current:
                raise InvalidArgument(
                    f"table: {name.sql} is in the database {parts[0]!r}, and the connection leads to {current!r}"
                )
            name = TableName(parts[1:], name.dialect)
        found = ask.rows(
            "SELECT n.nspname, c.relname, c.relkind FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
            f"WHERE c.oid = to_regclass({MARK})",
            [name.sql],
        )
        if found:
            schema, table, kind = map(text_of, found[0])
            if kind not in "rpvf":
                raise InvalidArgument(f"table: {name.sql} is neither a table nor a view that accepts rows")
            return TableName((schema, table), name.dialect)
        if len(name.parts) > 1:
            return name
        schema = ask.rows("SELECT current_schema()")[0][0]
        if schema is None:
            raise InvalidArgument(
                f"table: no schema of the search path exists in which {name.sql} could be made; write schema.table"
            )
        return TableName((text_of(schema), name.table), name.dialect)

    def look(self, ask: Asks, name: TableName) -> Target:
        """Describe the table by the catalog."""
        found = ask.rows(
            "SELECT c.oid::bigint, c.relkind, c.relhassubclass, row_security_active(c.oid), c.relispartition, "
            "c.relrowsecurity, pg_get_userbyid(c.relowner), c.relowner::regrole::text, current_user "
            f"FROM pg_class c WHERE c.oid = to_regclass({MARK})",
            [name.sql],
        )
        if not found:
            return Target(name)
        oid, kind, has_children, is_secured, is_partition, has_security, _, owner, user = found[0]
        kind = text_of(kind)
        rules = self._texts(
            ask, f"SELECT rulename FROM pg_rewrite WHERE ev_class = {MARK} AND rulename <> '_RETURN'", oid
        )
        inserts = ask.rows(
            f"SELECT 1 FROM pg_rewrite WHERE ev_class = {MARK} AND rulename <> '_RETURN' AND ev_type = '3'", [oid]
        )
        triggers = self._texts(ask, f"SELECT tgname FROM pg_trigger WHERE tgrelid = {MARK} AND NOT tgisinternal", oid)
        # A trigger before a row may leave it out, which only the count of an INSERT shows.
        skipping = ask.rows(
            f"SELECT 1 FROM pg_trigger WHERE tgrelid = {MARK} AND NOT tgisinternal AND tgtype & 7 = 7", [oid]
        )
        references = ask.rows(
            "SELECT conrelid::regclass::text, conrelid = confrelid, confdeltype::text FROM pg_constraint "
            f"WHERE contype = 'f' AND (confrelid = {MARK} OR confrelid IN (WITH RECURSIVE parts AS ("
            f"SELECT inhrelid FROM pg_inherits WHERE inhparent = {MARK} UNION ALL SELECT i.inhrelid FROM pg_inherits i "
            "JOIN parts p ON i.inhparent = p.inhrelid) SELECT inhrelid FROM parts))",
            [oid, oid],
        )
        reaching = [(text_of(table), own) for table, own, action in references if text_of(action) in "cnd"]
        return Target(
            name,
            self._columns(ask, oid),
            takes_copy=kind in "rpf" and not is_secured and not inserts and not skipping,
            alone=kind == "r" and bool(has_children),
            cascades=tuple(dict.fromkeys(table for table, own in reaching if not own)),
            cascades_within=any(own for _, own in reaching),
            triggers=(*triggers, *(f"rule {rule}" for rule in rules)),
            keeps_from_truncate=_why_delete(kind, is_secured=is_secured, others=bool(rules or references)),
            lost=self._lost(
                ask,
                oid,
                [
                    (kind == "p", "its partitions"),
                    (kind in "vf", "that it is a view or a foreign table"),
                    (is_partition or has_children, "its place among partitions or tables that inherit"),
                    (has_security, "row-level security and its policies"),
                    (rules, "the rules " + ", ".join(rules)),
                    (triggers, "the triggers " + ", ".join(triggers)),
                    (references, "foreign keys that refer to it"),
                ],
            ),
            restored=self._restored(ask, oid, text_of(owner) if text_of(owner) != text_of(user) else ""),
            indexes=self._texts(
                ask,
                f"SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE indrelid = {MARK}",
                oid,
            ),
            is_view=kind == "v",
        )

    def look_at_columns(self, ask: Asks, name: TableName) -> Target:
        """Describe the table in two queries, where `look` needs twenty."""
        found = ask.rows(
            f"SELECT oid::bigint, relkind, relhassubclass FROM pg_class WHERE oid = to_regclass({MARK})", [name.sql]
        )
        if not found:
            return Target(name)
        oid, kind, has_children = found[0]
        return Target(name, self._columns(ask, oid), alone=text_of(kind) == "r" and bool(has_children))

    def _columns(self, ask: Asks, oid: int) -> dict[str, TargetColumn]:
        modern = ask.rows("SELECT current_setting('server_version_num')::int >= 120000")[0][0]
        special = "a.attidentity::text, a.attgenerated::text" if modern else "'', ''"
        found = ask.rows(
            "WITH RECURSIVE base(attnum, typ, mod, is_needed) AS ("
            "SELECT attnum, atttypid, atttypmod, attnotnull FROM pg_attribute "
            f"WHERE attrelid = {MARK} AND attnum > 0 AND NOT attisdropped UNION ALL "
            "SELECT b.attnum, t.typbasetype, t.typtypmod, b.is_needed OR t.typnotnull "
            "FROM base b JOIN pg_type t ON t.oid = b.typ WHERE t.typtype = 'd') "
            "SELECT a.attname, format_type(a.atttypid, a.atttypmod), format_type(b.typ, b.mod), t.typcategory::text, "
            f"b.is_needed, {special} FROM base b JOIN pg_attribute a ON a.attrelid = {MARK} AND a.attnum = b.attnum "
            "JOIN pg_type t ON t.oid = b.typ WHERE t.typtype <> 'd' ORDER BY a.attnum",
            [oid, oid],
        )
        columns = {}
        for column, declared, base, category, is_needed, identity, generated in found:
            special = "generated" if text_of(generated) else "identity" if text_of(identity) else ""
            kind = postgres_type(text_of(base), text_of(category))
            columns[text_of(column)] = TargetColumn(
                text_of(column), text_of(declared), kind, nullable=not is_needed, special=special
            )
        return columns

    def _lost(self, ask: Asks, oid: int, known: Sequence[tuple[Any, str]]) -> tuple[str, ...]:
        lost = [text for is_so, text in known if is_so]
        attributes = "SELECT attname FROM pg_attribute WHERE attrelid = {} AND"
        typed = (
            "SELECT attname FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid WHERE a.attrelid = {} "
            "AND a.attnum > 0 AND NOT a.attisdropped AND"
        )
        for what, query in (
            ("the defaults of ", f"{attributes} atthasdef AND attnum > 0"),
            ("the identity of ", f"{attributes} attidentity <> ''"),
            ("the grants on the columns ", f"{attributes} attacl IS NOT NULL"),
            ("the constraints ", "SELECT conname FROM pg_constraint WHERE conrelid = {} AND contype IN ('c','f','x')"),
            ("its place in the publications ", _PUBLICATIONS),
            ("NOT NULL of ", f"{typed} a.attnotnull AND a.attidentity = '' AND {_NOT_PRIMARY}"),
            ("the domains of ", f"{typed} t.typtype = 'd'"),
            ("the collations of ", f"{typed} a.attcollation <> 0 AND a.attcollation <> t.typcollation"),
        ):  # fmt: skip
            found = self._texts(ask, query.format(MARK), oid)
            lost += [what + ", ".join(found)] if found else []
        return tuple(lost)

    def _restored(self, ask: Asks, oid: int, owner: str) -> tuple[tuple[str, str], ...]:
        statements = [f"ALTER TABLE {{t}} OWNER TO {owner}"] if owner else []
        grants = ask.rows(
            "SELECT privilege_type, CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END, is_grantable "
            f"FROM pg_class c, aclexplode(c.relacl) WHERE c.oid = {MARK} AND grantee <> c.relowner",
            [oid],
        )
        statements += [
            f"GRANT {text_of(right)} ON {{t}} TO {text_of(role)}{' WITH GRANT OPTION' if grantable else ''}"
            for right, role, grantable in grants
        ]
        comment = ask.rows(f"SELECT quote_literal(obj_description({MARK}::oid, 'pg_class'))", [oid])[0][0]
        if comment is not None:
            statements.append(f"COMMENT ON TABLE {{t}} IS {_braced(text_of(comment))}")
        comments = ask.rows(
            "SELECT attname, quote_ident(attname), quote_literal(col_description(attrelid, attnum)) FROM pg_attribute "
            f"WHERE attrelid = {MARK} AND attnum > 0 AND col_description(attrelid, attnum) IS NOT NULL",
            [oid],
        )
        on_columns = [
            (text_of(column), f"COMMENT ON COLUMN {{t}}.{_braced(text_of(spelled))} IS {_braced(text_of(text))}")
            for column, spelled, text in comments
        ]
        return (*(("", statement) for statement in statements), *on_columns)

    def _texts(self, ask: Asks, query: str, oid: int) -> tuple[str, ...]:
        return tuple(text_of(row[0]) for row in ask.rows(query, [oid]))

    def lock(self, ask: Asks, name: TableName, seconds: float) -> Callable[[], None]:
        """Lock the table against other loads."""
        key = int(lock_name(name)[:16], 16) - 2**63
        ask.rows(f"SELECT set_config('lock_timeout', {MARK}, true)", [f"{max(round(seconds * 1000), 1)}ms"])
        ask.run("SAVEPOINT airflow_lock")
        try:
            ask.rows(f"SELECT pg_advisory_xact_lock({MARK})", [key])
        except Exception as error:
            if str(getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)) != "55P03":
                raise
            owner = ""
            with suppress(Exception):  # ADBC's driver takes nothing but a rollback after an error
                ask.run("ROLLBACK TO SAVEPOINT airflow_lock")
                owner = self._owner(ask, key)
            raise lock_timed_out(name, seconds, owner) from error
        ask.run("RELEASE SAVEPOINT airflow_lock")
        return _nothing

    def _owner(self, ask: Asks, key: int) -> str:
        found = ask.rows(
            "SELECT a.pid, a.usename, a.application_name, a.xact_start FROM pg_locks l "
            "JOIN pg_stat_activity a ON a.pid = l.pid WHERE l.locktype = 'advisory' AND l.granted "
            f"AND l.classid = {MARK}::bigint::oid AND l.objid = {MARK}::bigint::oid AND l.objsubid = 1",
            [(key >> 32) & 0xFFFFFFFF, key & 0xFFFFFFFF],
        )
        if not found:
            return ""
        pid, user, application, since = found[0]
        return f"process {pid} of {text_of(user)!r} ({text_of(application) or 'no application name'}), since {since}"


def _why_delete(kind: str, *, is_secured: bool, others: bool) -> str:
    if kind not in "rp":
        return "it is a view or a foreign table"
    if is_secured:
        return "TRUNCATE does not obey row-level security"
    return "TRUNCATE does not obey rules, and refuses tables that foreign keys refer to" if others else ""


def _braced(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def _literal(text: str) -> str:
    doubled = text.replace("'", "''")
    return _braced(f"'{doubled}'")


class MySqlCatalog(Catalog):
    """MySQL and MariaDB."""

    locks = "GET_LOCK"

    def resolve(self, ask: Asks, name: TableName) -> TableName:
        """Resolve the table by the catalog."""
        schema = name.schema or ask.rows("SELECT DATABASE()")[0][0]
        if schema is None:
            raise InvalidArgument(f"table: the connection names no database for {name.sql}; write database.table")
        found = ask.rows(
            "SELECT table_schema, table_name FROM information_schema.tables "
            f"WHERE table_schema = {MARK} AND table_name = {MARK}",
            [text_of(schema), name.table],
        )
        exact = [row for row in found if text_of(row[1]) == name.table] or found
        parts = tuple(map(text_of, exact[0])) if exact else (text_of(schema), name.table)
        return TableName(parts, name.dialect)

    def look(self, ask: Asks, name: TableName) -> Target:
        """Describe the table by the catalog."""
        of = [name.schema, name.table]
        where = f"table_schema = {MARK} AND table_name = {MARK}"
        found = ask.rows(
            "SELECT column_name, column_type, is_nullable, extra, column_default, column_comment, column_key "
            f"FROM information_schema.columns WHERE {where} ORDER BY ordinal_position",
            of,
        )
        if not found:
            return Target(name)
        columns, defaults, needed, described = {}, [], [], []
        for column, declared, nullable, extra, default, comment, key in found:
            added = text_of(extra).lower()
            is_generated = "generated" in added and "default_generated" not in added
            special = "generated" if is_generated else "auto" if "auto_increment" in added else ""
            columns[text_of(column)] = TargetColumn(
                text_of(column),
                text_of(declared),
                mysql_type(text_of(declared)),
                nullable=text_of(nullable) == "YES",
                special=special,
            )
            if special or (default is not None and text_of(default).upper() != "NULL"):
                defaults.append(text_of(column))
            if text_of(nullable) != "YES" and text_of(key) != "PRI":
                needed.append(text_of(column))
            if text_of(comment or ""):
                described.append(text_of(column))
        triggers = tuple(
            text_of(row[0])
            for row in ask.rows(
                "SELECT trigger_name FROM information_schema.triggers "
                f"WHERE event_object_schema = {MARK} AND event_object_table = {MARK}",
                of,
            )
        )
        references = ask.rows(
            "SELECT table_name, delete_rule, constraint_schema FROM information_schema.referential_constraints "
            f"WHERE unique_constraint_schema = {MARK} AND referenced_table_name = {MARK}",
            of,
        )
        reaching = [
            (text_of(table), text_of(table) == name.table)
            for table, action, _ in references
            if text_of(action) in ("CASCADE", "SET NULL", "SET DEFAULT")
        ]
        own_keys = ask.rows(
            f"SELECT constraint_name FROM information_schema.table_constraints WHERE {where} "
            "AND constraint_type IN ('FOREIGN KEY', 'CHECK')",
            of,
        )
        partitions = ask.rows(
            f"SELECT 1 FROM information_schema.partitions WHERE {where} AND partition_name IS NOT NULL", of
        )
        indexes = ask.rows(f"SELECT DISTINCT index_name FROM information_schema.statistics WHERE {where}", of)
        kind, comment, transactions = ask.rows(
            "SELECT table_type, table_comment, (SELECT transactions FROM information_schema.engines e "
            f"WHERE e.engine = t.engine) FROM information_schema.tables t WHERE {where}",
            of,
        )[0]
        is_view = "VIEW" in text_of(kind)
        literal = text_of(comment or "").replace("\\", "\\\\").replace("'", "''")
        lost = [
            text
            for is_so, text in (
                (defaults, "the defaults of " + ", ".join(defaults)),
                (triggers, "the triggers " + ", ".join(triggers)),
                (references, "foreign keys that refer to it"),
                (own_keys, "the constraints " + ", ".join(text_of(row[0]) for row in own_keys)),
                (partitions, "its partitions"),
                (needed, "NOT NULL of " + ", ".join(needed)),
                (is_view, "that it is a view"),
            )
            if is_so
        ]
        return Target(
            name,
            columns,
            restored=(("", f"ALTER TABLE {{t}} COMMENT = '{_braced(literal)}'"),) if literal and not is_view else (),
            forgotten=("the comments on " + ", ".join(described),) if described else (),
            # LOAD DATA LOCAL goes on behind a row that is refused, which only a transaction takes back.
            takes_copy=not is_view and not triggers and text_of(transactions or "").upper() == "YES",
            is_view=is_view,
            cascades=tuple(dict.fromkeys(table for table, own in reaching if not own)),
            cascades_within=any(own for _, own in reaching),
            triggers=triggers,
            keeps_from_truncate="TRUNCATE commits",
            lost=tuple(lost),
            indexes=tuple(text_of(row[0]) for row in indexes),
        )

    def lock(self, ask: Asks, name: TableName, seconds: float) -> Callable[[], None]:
        """Lock the table against other loads."""
        ask.rows(f"SET SESSION lock_wait_timeout = {max(round(seconds), 1)}")
        ask.rows(f"SET SESSION innodb_lock_wait_timeout = {max(round(seconds), 1)}")
        key = f"airflow_workflow_{lock_name(name)}"
        if ask.rows(f"SELECT GET_LOCK({MARK}, {MARK})", [key, max(round(seconds), 0)])[0][0] == 1:
            return lambda: ask.run(f"DO RELEASE_LOCK({MARK})", [key])
        owner = ask.rows(
            f"SELECT id, user, host FROM information_schema.processlist WHERE id = IS_USED_LOCK({MARK})",
            [key],
        )
        who = f"connection {owner[0][0]} of {text_of(owner[0][1])!r} from {text_of(owner[0][2])}" if owner else ""
        raise lock_timed_out(name, seconds, who)


class SqliteCatalog(Catalog):
    """SQLite, whose write transaction locks the whole file."""

    locks = "BEGIN IMMEDIATE"

    def resolve(self, ask: Asks, name: TableName) -> TableName:
        """Resolve the table by the catalog."""
        schema = name.schema or "main"
        known = [str(row[1]) for row in ask.rows("PRAGMA database_list")]
        if schema.lower() not in map(str.lower, known):
            raise InvalidArgument(
                f"table: there is no schema {schema!r} in this database; there are {', '.join(known)}"
            )
        found = ask.rows(
            f"SELECT name FROM {TableName((schema, 'sqlite_master'), name.dialect).sql} "
            f"WHERE type IN ('table', 'view') AND lower(name) = lower({MARK})",
            [name.table],
        )
        return TableName((schema, str(found[0][0]) if found else name.table), name.dialect)

    def on_conflict(self, ask: Asks, name: TableName) -> str:
        """Override the table's own conflict clause, which leaves rows out or deletes others without a word.

        Not on other tables, since triggers obey the statement that fires them.
        """
        master = TableName((name.schema or "main", "sqlite_master"), name.dialect).sql
        made = ask.rows(f"SELECT sql FROM {master} WHERE name = {MARK}", [name.table])
        return " OR ABORT" if made and re.search(r"\bON\s+CONFLICT\b", made[0][0] or "", re.IGNORECASE) else ""

    def look(self, ask: Asks, name: TableName) -> Target:
        """Describe the table by the catalog."""
        found = ask.rows(
            'SELECT name, type, "notnull", dflt_value, pk, hidden '
            f"FROM pragma_table_xinfo({MARK}, {MARK}) ORDER BY cid",
            [name.table, name.schema],
        )
        if not found:
            return Target(name)
        master = TableName((name.schema or "main", "sqlite_master"), name.dialect).sql
        keys = sum(bool(row[4]) for row in found)
        columns = {}
        for column, declared, needed, _, key, hidden in found:
            is_rowid = key and keys == 1 and declared.upper() == "INTEGER"
            special = "generated" if hidden in (2, 3) else "auto" if is_rowid else ""
            columns[column] = TargetColumn(
                column, declared, sqlite_type(declared), nullable=not (needed or is_rowid), special=special
            )
        defaults = [row[0] for row in found if row[3] is not None or row[5] in (2, 3)]
        needing = [row[0] for row in found if row[2] and not row[4]]
        kind, made = ask.rows(f"SELECT type, sql FROM {master} WHERE name = {MARK}", [name.table])[0]
        triggers = tuple(
            row[0]
            for row in ask.rows(f"SELECT name FROM {master} WHERE type = 'trigger' AND tbl_name = {MARK}", [name.table])
        )
        references = ask.rows(
            f"SELECT m.name, f.on_delete FROM {master} m, pragma_foreign_key_list(m.name) f "
            f"WHERE m.type = 'table' AND lower(f.\"table\") = lower({MARK})",
            [name.table],
        )
        is_enforced = ask.rows("SELECT foreign_keys FROM pragma_foreign_keys")[0][0]
        reaching = [
            table for table, action in references if is_enforced and action in ("CASCADE", "SET NULL", "SET DEFAULT")
        ]
        own_keys = ask.rows(f"SELECT 1 FROM pragma_foreign_key_list({MARK}, {MARK})", [name.table, name.schema])
        lost = [
            text
            for is_so, text in (
                (kind == "view", "that it is a view"),
                (defaults, "the defaults of " + ", ".join(defaults)),
                (triggers, "the triggers " + ", ".join(triggers)),
                (references, "foreign keys that refer to it"),
                (own_keys, "its foreign keys"),
                (re.search(r"\bCHECK\s*\(", made or "", re.IGNORECASE), "its checks"),
                (re.search(r"\bCOLLATE\b", made or "", re.IGNORECASE), "its collations"),
                (needing, "NOT NULL of " + ", ".join(needing)),
            )
            if is_so
        ]
        indexes = ask.rows(f"SELECT name FROM {master} WHERE type = 'index' AND tbl_name = {MARK}", [name.table])
        return Target(
            name,
            columns,
            cascades=tuple(dict.fromkeys(table for table in reaching if table != name.table)),
            cascades_within=name.table in reaching,
            triggers=triggers,
            keeps_from_truncate="SQLite has no TRUNCATE",
            lost=tuple(lost),
            indexes=tuple(row[0] for row in indexes),
            forgotten=tuple(
                text
                for is_so, text in (
                    (keys, "its primary key"),
                    (
                        re.search(r"\)\s*(?:STRICT|WITHOUT)[\w\s,]*$", made or "", re.IGNORECASE),
                        "STRICT, WITHOUT ROWID",
                    ),
                )
                if is_so
            ),
            is_view=kind == "view",
        )


@dataclass
class _Held:
    """A lock of this process, and what holds it."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    since: float = 0.0


_HELD: dict[str, _Held] = {}
_GUARD = threading.Lock()


def _is_generated(column: str, declared: str, made_by: str, dialect: SqlDialect) -> bool:
    """Say whether the statement that made a table computes a column: the catalog of DuckDB 1 does not tell it.

    DuckDB itself writes the statement, so that its spelling is always the same.
    """
    words = [before + word for before in ("(", ", ") for word in (column, quoted(column, dialect))]
    return any(f"{word} {declared} GENERATED ALWAYS AS(" in made_by for word in words)


class DuckDbCatalog(Catalog):
    """DuckDB: one process at a time may write to a file, so its own threads are what must be kept apart."""

    locks = "the file's lock between processes, a lock of the process between its threads"

    def resolve(self, ask: Asks, name: TableName) -> TableName:
        """Resolve the table by the catalog."""
        database, schema = ask.rows("SELECT current_database(), current_schema()")[0]
        given = {1: (None, None), 2: (None, name.parts[0]), 3: name.parts[:2]}[len(name.parts)]
        found = ask.rows(
            "SELECT table_catalog, table_schema, table_name FROM information_schema.tables "
            f"WHERE lower(table_catalog) = lower(coalesce({MARK}, current_database())) "
            f"AND lower(table_schema) = lower(coalesce({MARK}, current_schema())) "
            f"AND lower(table_name) = lower({MARK})",
            [*given, name.table],
        )
        exact = [row for row in found if row[2] == name.table] or found
        parts = exact[0] if exact else (given[0] or database, given[1] or schema, name.table)
        return TableName(tuple(map(str, parts)), name.dialect)

    def look(self, ask: Asks, name: TableName) -> Target:
        """Describe the table by the catalog."""
        found = ask.rows(
            "SELECT column_name, data_type, coalesce(is_nullable, 'YES'), column_default, is_generated = 'ALWAYS' "
            "FROM information_schema.columns "
            f"WHERE table_catalog = {MARK} AND table_schema = {MARK} AND table_name = {MARK} ORDER BY ordinal_position",
            list(name.parts),
        )
        if not found:
            return Target(name)
        of = f"database_name = {MARK} AND schema_name = {MARK} AND table_name = {MARK}"
        made_by = ""
        if any(default is not None and is_generated is None for *_, default, is_generated in found):
            made_by = "".join(
                str(row[0]) for row in ask.rows(f"SELECT sql FROM duckdb_tables() WHERE {of}", [*name.parts])
            )
        columns = {
            column: TargetColumn(
                column,
                declared,
                duckdb_type(declared),
                nullable=nullable == "YES",
                special="generated" if is_generated or _is_generated(column, declared, made_by, name.dialect) else "",
            )
            for column, declared, nullable, _, is_generated in found
        }
        defaults = [column for column, _, _, default, _ in found if default is not None]
        known = ask.rows(
            f"SELECT constraint_type, constraint_text, constraint_column_names FROM duckdb_constraints() WHERE {of}",
            list(name.parts),
        )
        constraints = [text for kind, text, _ in known if kind in ("CHECK", "FOREIGN KEY")]
        keys = [text for kind, text, _ in known if kind in ("PRIMARY KEY", "UNIQUE")]
        primary = {column for kind, _, columns in known if kind == "PRIMARY KEY" for column in columns}
        needed = [column for column, _, nullable, _, _ in found if nullable != "YES" and column not in primary]
        indexes = ask.rows(f"SELECT index_name FROM duckdb_indexes() WHERE {of}", list(name.parts))
        lost = [
            text
            for is_so, text in (
                (defaults, "the defaults of " + ", ".join(defaults)),
                (constraints, "the constraints " + ", ".join(constraints)),
                (needed, "NOT NULL of " + ", ".join(needed)),
            )
            if is_so
        ]
        return Target(
            name,
            columns,
            lost=tuple(lost),
            restored=self._comments(ask, name, of),
            indexes=(*(row[0] for row in indexes), *keys),
        )

    def _comments(self, ask: Asks, name: TableName, of: str) -> tuple[tuple[str, str], ...]:
        tables = ask.rows(f"SELECT comment FROM duckdb_tables() WHERE {of}", list(name.parts))
        columns = ask.rows(
            f"SELECT column_name, comment FROM duckdb_columns() WHERE {of} AND comment IS NOT NULL", list(name.parts)
        )
        on_table = [("", f"COMMENT ON TABLE {{t}} IS {_literal(row[0])}") for row in tables if row[0] is not None]
        on_columns = [
            (column, f"COMMENT ON COLUMN {{t}}.{_braced(quoted(column, name.dialect))} IS {_literal(comment)}")
            for column, comment in columns
        ]
        return (*on_table, *on_columns)

    def lock(self, ask: Asks, name: TableName, seconds: float) -> Callable[[], None]:
        """Lock the table against other loads."""
        key = self._key(ask, name)
        with _GUARD:
            held = _HELD.setdefault(key, _Held())
        if not held.lock.acquire(timeout=max(seconds, 0)):
            since = time.monotonic() - held.since
            raise lock_timed_out(name, seconds, f"another thread of this process, for {since:.0f} s")
        held.since = time.monotonic()
        # The transaction must see what the other load has committed.
        ask.run("ROLLBACK")
        ask.run("BEGIN TRANSACTION")
        return held.lock.release

    def _key(self, ask: Asks, name: TableName) -> str:
        path = ask.rows(f"SELECT path FROM duckdb_databases() WHERE database_name = {MARK}", [name.parts[0]])
        return f"{path[0][0] if path else ''}\0{lock_name(name)}"


CATALOGS: Mapping[str, Catalog] = {
    "PostgreSQL": PostgresCatalog(),
    "MySQL": MySqlCatalog(),
    "SQLite": SqliteCatalog(),
    "DuckDB": DuckDbCatalog(),
}
_ANY = Catalog()


def catalog_of(dialect_name: str) -> Catalog:
    """Give the catalog of a database by its dialect's name."""
    return CATALOGS.get(dialect_name, _ANY)
