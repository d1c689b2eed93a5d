"""The table of guarantees in ``docs/transfers.md``: what belongs to a table is kept, or named, or the load is refused.

Each row is a property of a table in one database, and what happens to it where the output has other columns than the
table. Where the columns are the same, and in every other mode, the table stays as it is, and so does the property.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from airflow_workflow_provider.exceptions import WorkflowError
from tests.transfers.conftest import Task, opened
from tests.transfers.files import csv_outputs, land

SAME = "id,name\n1,A\n2,B\n"
OTHER = "id,name,more\n1,A,x\n"
MODES = {
    "append": {},
    "replace": {},
    "truncate": {},
    "upsert": {"key_columns": ["id"]},
    "replace_where": {"where": "id = 7"},
}


@dataclass(frozen=True)
class Property:
    """What belongs to a table. ``table`` makes it with the property, ``query`` shows that it is there.

    ``fate`` is what ``replace`` with other columns does to it: ``refused``, ``warned`` or ``kept``; ``said`` is what
    the error or the warning says.
    """

    database: str
    table: str
    query: str
    fate: str
    said: str = ""
    more: tuple[str, ...] = ()
    options: str = ""


SQLITE = "SELECT sql FROM sqlite_master WHERE type = 'table' AND name = 'target'"
DUCKDB = "SELECT constraint_text FROM duckdb_constraints() WHERE table_name = 'target' ORDER BY 1"
TRIGGER = "CREATE TRIGGER tg AFTER INSERT ON target FOR EACH ROW "
PROPERTIES = {
    "mysql default": Property(
        "mariadb", "id BIGINT, name LONGTEXT DEFAULT 'd'", "SHOW CREATE TABLE target", "refused", "the defaults of name"
    ),
    "mysql auto_increment": Property(
        "mariadb", "id BIGINT AUTO_INCREMENT, name LONGTEXT, PRIMARY KEY (id)", "SELECT 1", "refused", "defaults of id"
    ),
    "mysql not null": Property(
        "mariadb", "id BIGINT, name LONGTEXT NOT NULL", "SHOW CREATE TABLE target", "refused", "NOT NULL of name"
    ),
    "mysql check": Property(
        "mariadb", "id BIGINT CHECK (id > 0), name LONGTEXT", "SHOW CREATE TABLE target", "refused", "the constraints"
    ),
    "mysql foreign key": Property(
        "mariadb",
        "id BIGINT, name LONGTEXT, FOREIGN KEY (id) REFERENCES parent (id)",
        "SHOW CREATE TABLE target",
        "refused",
        "the constraints",
        ("CREATE TABLE parent (id BIGINT PRIMARY KEY)", "INSERT INTO parent VALUES (1), (2), (7)"),
    ),
    "mysql index": Property(
        "mariadb", "id BIGINT, name LONGTEXT, INDEX ix (id)", "SHOW INDEX FROM target", "warned", "ix"
    ),
    "mysql comment": Property(
        "mariadb",
        "id BIGINT, name LONGTEXT",
        "SELECT table_comment FROM information_schema.tables WHERE table_schema = 'work' AND table_name = 'target'",
        "kept",
        options="COMMENT 'it''s {odd} \\\\ 100%'",
    ),
    "mysql comment on a column": Property(
        "mariadb",
        "id BIGINT COMMENT 'key', name LONGTEXT",
        "SHOW CREATE TABLE target",
        "warned",
        "the comments on id",
    ),
    "mysql partitions": Property(
        "mariadb",
        "id BIGINT, name LONGTEXT",
        "SHOW CREATE TABLE target",
        "refused",
        "its partitions",
        options="PARTITION BY HASH (id) PARTITIONS 2",
    ),
    "sqlite default": Property("sqlite", "id BIGINT, name TEXT DEFAULT 'd'", SQLITE, "refused", "the defaults of name"),
    "sqlite not null": Property("sqlite", "id BIGINT, name TEXT NOT NULL", SQLITE, "refused", "NOT NULL of name"),
    "sqlite check": Property("sqlite", "id BIGINT CHECK (id > 0), name TEXT", SQLITE, "refused", "its checks"),
    "sqlite collation": Property("sqlite", "id BIGINT, name TEXT COLLATE NOCASE", SQLITE, "refused", "its collations"),
    "sqlite foreign key": Property(
        "sqlite",
        "id BIGINT REFERENCES parent (id), name TEXT",
        SQLITE,
        "refused",
        "its foreign keys",
        ("CREATE TABLE parent (id BIGINT PRIMARY KEY)",),
    ),
    "sqlite trigger": Property(
        "sqlite",
        "id BIGINT, name TEXT",
        "SELECT name FROM sqlite_master WHERE type = 'trigger'",
        "refused",
        "the triggers tg",
        (f"{TRIGGER} BEGIN SELECT 1; END",),
    ),
    "sqlite primary key": Property("sqlite", "id BIGINT PRIMARY KEY, name TEXT", SQLITE, "warned", "its primary key"),
    "sqlite index": Property(
        "sqlite",
        "id BIGINT, name TEXT",
        "SELECT name FROM sqlite_master WHERE type = 'index' AND tbl_name = 'target'",
        "warned",
        "ix",
        ("CREATE INDEX ix ON target (id)",),
    ),
    "sqlite strict": Property("sqlite", "id INTEGER, name TEXT", SQLITE, "warned", "STRICT", options="STRICT"),
    "duckdb default": Property(
        "duckdb",
        "id BIGINT, name VARCHAR DEFAULT 'd'",
        "SELECT column_default FROM information_schema.columns WHERE table_name = 'target' ORDER BY 1",
        "refused",
        "the defaults of name",
    ),
    "duckdb not null": Property(
        "duckdb",
        "id BIGINT, name VARCHAR NOT NULL",
        DUCKDB,
        "refused",
        "NOT NULL of name",
    ),
    "duckdb check": Property(
        "duckdb",
        "id BIGINT CHECK (id > 0), name VARCHAR",
        DUCKDB,
        "refused",
        "the constraints",
    ),
    "duckdb key": Property(
        "duckdb",
        "id BIGINT PRIMARY KEY, name VARCHAR",
        DUCKDB,
        "warned",
        "PRIMARY KEY",
    ),
    "duckdb comment": Property(
        "duckdb",
        "id BIGINT, name VARCHAR",
        "SELECT comment FROM duckdb_tables() WHERE table_name = 'target'",
        "kept",
        more=("COMMENT ON TABLE target IS 'it''s {odd}'",),
    ),
    "duckdb comment on a column": Property(
        "duckdb",
        "id BIGINT, name VARCHAR",
        "SELECT comment FROM duckdb_columns() WHERE table_name = 'target' AND column_name = 'id'",
        "kept",
        more=("COMMENT ON COLUMN target.id IS 'it''s {odd}'",),
    ),
    "postgres comment on a column": Property(
        "postgres",
        "id bigint, name text",
        "SELECT col_description('target'::regclass, 1)",
        "kept",
        more=("COMMENT ON COLUMN target.id IS 'it''s {odd}'",),
    ),
    "postgres index": Property(
        "postgres",
        "id bigint, name text",
        "SELECT indexname FROM pg_indexes WHERE tablename = 'target'",
        "warned",
        "ix",
        ("CREATE INDEX ix ON target (id)",),
    ),
    "postgres not null": Property(
        "postgres",
        "id bigint, name text NOT NULL",
        "SELECT attnotnull FROM pg_attribute WHERE attrelid = 'target'::regclass AND attnum > 0",
        "refused",
        "NOT NULL of name",
    ),
    "postgres rule": Property(
        "postgres",
        "id bigint, name text",
        "SELECT rulename FROM pg_rules WHERE tablename = 'target'",
        "refused",
        "the rules r",
        ("CREATE RULE r AS ON UPDATE TO target WHERE old.id = 99 DO NOTHING",),
    ),
    "postgres exclusion": Property(
        "postgres",
        "id bigint, name text, EXCLUDE USING btree (id WITH =)",
        "SELECT conname FROM pg_constraint WHERE conrelid = 'target'::regclass",
        "refused",
        "the constraints",
    ),
    "postgres publication": Property(
        "postgres",
        "id bigint PRIMARY KEY, name text",
        "SELECT pubname FROM pg_publication_tables",
        "refused",
        "its place in the publications p",
        ("DROP PUBLICATION IF EXISTS p", "CREATE PUBLICATION p FOR TABLE target"),
    ),
    "postgres grant on a column": Property(
        "postgres",
        "id bigint, name text",
        "SELECT attacl::text FROM pg_attribute WHERE attrelid = 'target'::regclass AND attnum = 1",
        "refused",
        "the grants on the columns id",
        ("GRANT SELECT (id) ON target TO PUBLIC",),
    ),
}


def made(one: Property, servers, tmp_path, monkeypatch):
    """A database with the table, and one row in it."""
    database = opened(one.database, servers, tmp_path, monkeypatch)
    before = [text for text in one.more if text.startswith(("CREATE TABLE parent", "INSERT INTO parent"))]
    after = [text for text in one.more if text not in before]
    database.run(*before, f"CREATE TABLE target ({one.table}) {one.options}", *after)
    return database


@pytest.mark.parametrize("name", PROPERTIES)
def test_every_mode_keeps_what_belongs_to_a_table_of_the_same_columns(name, servers, tmp_path, monkeypatch):
    one = PROPERTIES[name]
    database = made(one, servers, tmp_path, monkeypatch)
    before = database.rows(one.query)
    for if_exists, options in MODES.items():
        land(database, csv_outputs("id,name\n7,old\n"), Task(task_id=if_exists), if_exists=if_exists, **options)
        database.run("DELETE FROM target")
        assert database.rows(one.query) == before, if_exists


@pytest.mark.parametrize("name", PROPERTIES)
def test_replace_by_other_columns_loses_nothing_without_a_word(name, servers, tmp_path, monkeypatch):
    one = PROPERTIES[name]
    database = made(one, servers, tmp_path, monkeypatch)
    database.run("INSERT INTO target (id, name) VALUES (7, 'old')")
    before = database.rows(one.query)
    if one.fate == "refused":
        with pytest.raises(WorkflowError, match=one.said):
            land(database, csv_outputs(OTHER), if_exists="replace")
        assert database.rows("SELECT id, name FROM target") == [(7, "old")]
        assert database.rows(one.query) == before
        return
    _, log = land(database, csv_outputs(OTHER), if_exists="replace")
    assert database.rows("SELECT id, name, more FROM target") == [(1, "A", "x")]
    warned = [line for line in log.lines if "without" in line and one.said in line]
    if one.fate == "kept":
        assert database.rows(one.query) == before
    else:
        assert warned


def test_the_page_says_what_replace_keeps():
    """Each fate of a property has its row in the page's table."""
    page = (Path(__file__).parents[2] / "docs" / "transfers.md").read_text()
    for row in (
        "NOT NULL, domains, collations",
        "indexes and keys",
        "comments",
        "triggers, rules",
        "partitions, tables",
    ):
        assert re.search(rf"^\| [^|]*{row}", page, re.MULTILINE), row
