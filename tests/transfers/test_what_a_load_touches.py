"""A load changes the rows that it was asked to change, in the table that it was asked to change, and nothing else."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from airflow_workflow_provider.exceptions import InvalidArgument, WorkflowError
from airflow_workflow_provider.transfers.workflow_to_sql import WorkflowOutputToSqlOperator
from tests.transfers.conftest import Task, context, opened
from tests.transfers.files import csv_outputs, land

SAME = "id,name\n1,A\n2,B\n"
OTHER = "id,name,more\n1,A,x\n"
MODES = {
    "replace": {},
    "truncate": {},
    "append": {},
    "upsert": {"key_columns": ["id"]},
    "replace_where": {"where": "id = 7"},
}
TEXT = {"mariadb": "LONGTEXT"}
FUNCTION = "CREATE FUNCTION f() RETURNS trigger AS 'BEGIN RETURN {}; END' LANGUAGE plpgsql"
# What belongs to a table of PostgreSQL, and what is said of a load that would lose it.
BELONGINGS = {
    "default": (["ALTER TABLE target ALTER name SET DEFAULT 'd'"], "the defaults of name"),
    "trigger": (
        [FUNCTION.format("NEW"), "CREATE TRIGGER tg BEFORE INSERT ON target FOR EACH ROW EXECUTE FUNCTION f()"],
        "the triggers tg",
    ),
    "policy": (["ALTER TABLE target ENABLE ROW LEVEL SECURITY"], "row-level security"),
    "check": (["ALTER TABLE target ADD CHECK (id > 0)"], "the constraints target_id_check"),
    "identity": (
        ["ALTER TABLE target ALTER id SET NOT NULL", "ALTER TABLE target ALTER id ADD GENERATED ALWAYS AS IDENTITY"],
        "the identity of id",
    ),
    "foreign key": (
        ["ALTER TABLE target ADD PRIMARY KEY (id)", "CREATE TABLE child (id bigint REFERENCES target (id))"],
        "foreign keys that refer to it",
    ),
    "not null": (["ALTER TABLE target ALTER name SET NOT NULL"], "NOT NULL of name"),
    "collation": (['ALTER TABLE target ALTER name TYPE text COLLATE "C"'], "the collations of name"),
    "view": (["CREATE VIEW seen AS SELECT * FROM target"], "view seen depends"),
}


def made(database, *statements):
    """A table with one row, and what belongs to it."""
    text = TEXT.get(database.name, "TEXT")
    database.run(f"CREATE TABLE target (id BIGINT, name {text})", "INSERT INTO target VALUES (7, 'old')", *statements)


def content(database):
    return database.rows("SELECT id, name FROM target ORDER BY id, name")


@pytest.mark.parametrize("what", BELONGINGS)
def test_what_belongs_to_a_table_is_not_lost_without_a_word(postgres, what):
    """A table of the same columns stays in every mode; one that would be made anew is refused by what it would lose."""
    statements, said = BELONGINGS[what]
    made(postgres, *statements)
    described = "SELECT count(*) FROM pg_depend WHERE refobjid = 'target'::regclass"
    before = postgres.rows(described)
    for if_exists, options in MODES.items():
        land(postgres, csv_outputs(SAME), Task(task_id=if_exists), if_exists=if_exists, **options)
        postgres.run("DELETE FROM target")
    assert postgres.rows(described) == before
    with pytest.raises(WorkflowError, match=said):
        land(postgres, csv_outputs(OTHER), if_exists="replace")
    assert content(postgres) == []


def test_a_domain_is_not_lost(postgres):
    """Its checks and its NOT NULL are those of the column."""
    made(postgres, "CREATE DOMAIN short AS text CHECK (length(VALUE) < 5)", "ALTER TABLE target ALTER name TYPE short")
    with pytest.raises(WorkflowError, match="the domains of name"):
        land(postgres, csv_outputs(OTHER), if_exists="replace")
    with pytest.raises(WorkflowError, match="violates check constraint"):
        land(postgres, csv_outputs("id,name\n1,too long\n"))


@pytest.mark.parametrize("method", ["auto", "insert"])
@pytest.mark.parametrize("if_exists", MODES)
@pytest.mark.parametrize("name", ["postgres", "mariadb"])
def test_rows_that_a_view_takes_and_does_not_show_are_a_refusal(
    name, if_exists, method, servers, tmp_path, monkeypatch
):
    """The rows would be in the table behind the view, where the next load does not replace them."""
    database = opened(name, servers, tmp_path, monkeypatch)
    made(database, "CREATE VIEW shown AS SELECT * FROM target WHERE id < 10")
    options = {"table": "shown", "if_exists": if_exists, "load_method": method, **MODES[if_exists]}
    with pytest.raises(WorkflowError, match=r"1 rows would not be seen in .*shown"):
        land(database, csv_outputs("id,name\n1,A\n20,B\n"), **options)
    assert content(database) == [(7, "old")]
    land(database, csv_outputs("id,name\n1,A\n2,B\n"), **options)
    assert (1, "A") in content(database)


def test_an_update_that_moves_a_row_out_of_a_view_is_a_refusal(postgres):
    made(postgres, "CREATE VIEW shown AS SELECT * FROM target WHERE name <> 'gone'")
    with pytest.raises(WorkflowError, match="1 rows would not be seen"):
        land(postgres, csv_outputs("id,name\n7,gone\n"), table="shown", if_exists="upsert", key_columns=["id"])
    assert content(postgres) == [(7, "old")]


def test_grants_the_owner_and_the_comment_come_back(postgres):
    made(
        postgres,
        "DROP ROLE IF EXISTS reader",
        "CREATE ROLE reader",
        "GRANT SELECT ON target TO reader WITH GRANT OPTION",
        "GRANT INSERT ON target TO PUBLIC",
        "COMMENT ON TABLE target IS 'it''s {odd}'",
    )
    query = "SELECT relacl::text, obj_description(oid) FROM pg_class WHERE relname = 'target'"
    before = postgres.rows(query)
    land(postgres, csv_outputs(OTHER), if_exists="replace")
    assert [sorted(acl.strip("{}").split(",")) for acl, _ in postgres.rows(query)] == [
        sorted(acl.strip("{}").split(",")) for acl, _ in before
    ]
    assert postgres.rows(query)[0][1] == "it's {odd}"
    postgres.run("DROP OWNED BY reader", "DROP ROLE reader")


@pytest.mark.parametrize("action", ["CASCADE", "SET NULL"])
@pytest.mark.parametrize("name", ["postgres", "mariadb"])
def test_no_delete_goes_through_a_foreign_key(name, action, servers, tmp_path, monkeypatch):
    """The rows that hang on the replaced ones stay; upsert deletes none."""
    database = opened(name, servers, tmp_path, monkeypatch)
    made(
        database,
        "ALTER TABLE target ADD PRIMARY KEY (id)",
        f"CREATE TABLE child (v INT, parent BIGINT, FOREIGN KEY (parent) REFERENCES target (id) ON DELETE {action})",
        "INSERT INTO child VALUES (1, 7)",
    )
    for if_exists in ("replace", "truncate", "replace_where"):
        if name == "mariadb" and if_exists == "replace":
            continue  # its key makes another shape of it, which is refused as well
        with pytest.raises(InvalidArgument, match="would also change child"):
            land(database, csv_outputs(SAME), if_exists=if_exists, **MODES[if_exists])
    land(database, csv_outputs("id,name\n7,new\n"), if_exists="upsert", key_columns=["id"])
    assert database.rows("SELECT v, parent FROM child") == [(1, 7)]
    assert content(database) == [(7, "new")]


def test_rows_that_a_rule_or_a_trigger_keeps_or_drops_are_a_refusal(postgres):
    """What DELETE leaves would be there twice; what INSERT leaves out would be lost."""
    made(postgres, "CREATE RULE keep AS ON DELETE TO target DO INSTEAD NOTHING")
    for if_exists in ("replace", "truncate", "replace_where"):
        with pytest.raises(WorkflowError, match="1 rows are still in the table"):
            land(postgres, csv_outputs(SAME), if_exists=if_exists, **MODES[if_exists])
    postgres.run(
        "DROP RULE keep ON target",
        FUNCTION.format("NULL"),
        "CREATE TRIGGER leaving BEFORE INSERT ON target FOR EACH ROW WHEN (NEW.id = 2) EXECUTE FUNCTION f()",
    )
    for if_exists, options in MODES.items():
        with pytest.raises(WorkflowError, match="the table took 1 of 2 rows"):
            land(postgres, csv_outputs(SAME), if_exists=if_exists, **options)
    assert content(postgres) == [(7, "old")]


@pytest.mark.parametrize(
    "kept",
    [
        ("CREATE RULE keep AS ON UPDATE TO target DO INSTEAD NOTHING",),
        (FUNCTION.format("NULL"), "CREATE TRIGGER keep BEFORE UPDATE ON target FOR EACH ROW EXECUTE FUNCTION f()"),
    ],
)
def test_rows_that_are_not_updated_are_a_refusal_unless_they_are_the_same(postgres, kept):
    made(postgres, *kept)
    with pytest.raises(WorkflowError, match="1 rows of the table were not updated"):
        land(postgres, csv_outputs("id,name\n7,new\n8,more\n"), if_exists="upsert", key_columns=["id"])
    assert content(postgres) == [(7, "old")]
    land(postgres, csv_outputs("id,name\n7,old\n8,more\n"), if_exists="upsert", key_columns=["id"])
    assert content(postgres) == [(7, "old"), (8, "more")]


def test_tables_that_inherit_are_left_alone(postgres):
    made(postgres, "CREATE TABLE heir () INHERITS (target)", "INSERT INTO heir VALUES (99, 'heir')")
    for if_exists, options in MODES.items():
        land(postgres, csv_outputs(SAME), Task(task_id=if_exists), if_exists=if_exists, **options)
        assert (99, "heir") in content(postgres)


def test_partitions_stay(postgres):
    postgres.run(
        "CREATE TABLE target (id bigint, name text) PARTITION BY LIST (id)",
        "CREATE TABLE rest PARTITION OF target DEFAULT",
    )
    for if_exists in ("replace", "truncate"):
        land(postgres, csv_outputs(SAME), Task(task_id=if_exists), if_exists=if_exists)
        assert postgres.rows("SELECT id, name FROM rest ORDER BY id") == [(1, "A"), (2, "B")]
    with pytest.raises(InvalidArgument, match="lose its partitions"):
        land(postgres, csv_outputs(OTHER), if_exists="replace")


@pytest.mark.parametrize("if_exists", ["replace", "append", "upsert"])
def test_a_table_of_the_search_path_stays_in_its_schema(postgres, if_exists):
    """With its load log: the name is resolved once, and nothing of the same name elsewhere is touched."""
    postgres.run("CREATE SCHEMA other", "CREATE TABLE public.target (id bigint, name text)")
    extra = {"options": "-c search_path=other,public"}
    through = replace(postgres, connection={**postgres.connection, "extra": json.dumps(extra)})
    through.export()
    outputs = csv_outputs(OTHER if if_exists == "replace" else SAME)
    land(through, outputs, if_exists=if_exists, key_columns=["id"])
    found = "SELECT schemaname, tablename FROM pg_tables WHERE schemaname IN ('public', 'other') ORDER BY 2"
    assert postgres.rows(found) == [("public", "airflow_workflow_loads"), ("public", "target")]
    postgres.run("CREATE TABLE other.target (id bigint, name text)")
    land(through, csv_outputs(SAME), Task(task_id="b"), if_exists="replace")
    assert postgres.rows("SELECT count(*) FROM other.target") == [(2,)]
    postgres.export()


def test_settings_of_the_server_do_not_change_a_value(postgres):
    """And are as they were once the transaction has ended."""
    postgres.run("CREATE TABLE target (at timestamptz, span interval, price money, list text[])")
    options = "-c timezone=Asia/Tokyo -c datestyle=German -c intervalstyle=sql_standard -c array_nulls=off"
    through = replace(postgres, connection={**postgres.connection, "extra": json.dumps({"options": options})})
    through.export()
    land(through, csv_outputs('at,span,price,list\n2024-01-02 03:04,-1 day 02:03:04,1000.5,"{NULL,a}"\n'))
    at = "at AT TIME ZONE 'UTC' = '2024-01-02 03:04'"
    shown = f"SELECT {at}, span::text, price::numeric::text, list[1] IS NULL FROM target"
    postgres.export()
    assert postgres.rows(shown) == [(True, "-1 days +02:03:04", "1000.50", True)]


def test_settings_of_a_mysql_server_do_not_change_a_value(servers, tmp_path, monkeypatch):
    """0 is no order to count on, empty text is no NULL, and nothing is cut."""
    database = opened("mariadb", servers, tmp_path, monkeypatch)
    database.run(
        "CREATE TABLE target (id BIGINT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(5))",
        "SET GLOBAL sql_mode = 'EMPTY_STRING_IS_NULL'",
    )
    try:
        land(database, csv_outputs('id,name\n0,""\n7,x\n'))
    finally:
        database.run("SET GLOBAL sql_mode = DEFAULT")
    assert content(database) == [(0, ""), (7, "x")]


def test_a_key_that_only_a_collation_takes_for_another_is_refused(servers, tmp_path, monkeypatch):
    """The row would be stored under the other key's spelling."""
    database = opened("mariadb", servers, tmp_path, monkeypatch)
    database.run(
        "CREATE TABLE target (id VARCHAR(9) COLLATE utf8mb4_general_ci, name VARCHAR(9))",
        "INSERT INTO target VALUES ('a', 'old')",
    )
    with pytest.raises(WorkflowError, match="the key 'A' is the same as 'a'"):
        land(database, csv_outputs("id,name\nA,new\n"), if_exists="upsert", key_columns=["id"])
    assert content(database) == [("a", "old")]


def test_a_column_that_the_database_computes_takes_no_value(postgres):
    postgres.run("CREATE TABLE target (id bigint, twice bigint GENERATED ALWAYS AS (id * 2) STORED)")
    with pytest.raises(InvalidArgument, match="the database computes the table's column 'twice'"):
        land(postgres, csv_outputs("id,twice\n1,2\n"))
    land(postgres, csv_outputs("id\n1\n"))
    assert postgres.rows("SELECT id, twice FROM target") == [(1, 2)]


def test_a_role_keeps_a_load_log_of_its_own_where_it_may_not_use_the_other(postgres):
    """Its retry loads once, as with any log."""
    postgres.run("DROP ROLE IF EXISTS second", "CREATE ROLE second LOGIN", "GRANT ALL ON SCHEMA public TO second")
    land(postgres, csv_outputs(SAME), table="first")
    other = replace(postgres, connection={**postgres.connection, "login": "second"})
    other.export()
    result, log = land(other, csv_outputs(SAME), Task(task_id="b"))
    assert any("airflow_workflow_loads_second" in line for line in log.lines)
    assert land(other, csv_outputs(SAME), Task(task_id="b", try_number=2))[0] == result
    assert len(content(other)) == 2
    postgres.export()
    postgres.run("DROP OWNED BY second CASCADE", "DROP ROLE second")


def test_lineage_names_the_table_of_the_search_path(tables, postgres):
    """The schema that the rows went to, not the one that is the usual default."""
    postgres.run("CREATE SCHEMA other", "CREATE TABLE other.target (id bigint, name text)")
    extra = {"options": "-c search_path=other,public"}
    replace(postgres, connection={**postgres.connection, "extra": json.dumps(extra)}).export()
    run = tables.put("out", {"id": "number", "name": "string"}, [1, "a"])
    operator = WorkflowOutputToSqlOperator(
        task_id="land", run=run, sql_conn_id=postgres.conn_id, table="target", if_exists="append"
    )
    result = operator.execute(context(Task()))
    assert result["table"] == "target"
    assert operator.named_targets(result)[0][1].endswith("other.target")
    assert postgres.rows("SELECT id, name FROM other.target") == [(1, "a")]
    postgres.export()


@pytest.mark.parametrize("clause", ["IGNORE", "REPLACE"])
@pytest.mark.parametrize("if_exists", ["append", "truncate", "upsert", "replace_where"])
def test_a_conflict_clause_of_a_table_neither_leaves_rows_out_nor_deletes_others(sqlite, if_exists, clause):
    """A unique key that a load breaks is a refusal, whatever the table's own clause says."""
    sqlite.run(
        f"CREATE TABLE target (k INTEGER, v TEXT, UNIQUE (v) ON CONFLICT {clause})",
        "INSERT INTO target VALUES (5, 'x'), (6, 'z')",
    )
    before = sqlite.rows("SELECT * FROM target ORDER BY k")
    options = {"if_exists": if_exists, "key_columns": ["k"], "where": "k = 5"}
    for body in ("k,v\n1,x\n2,x\n", "k,v\n6,new\n7,new\n"):
        with pytest.raises(WorkflowError, match=r"(?s)UNIQUE constraint failed.*nothing was changed"):
            land(sqlite, csv_outputs(body), **options)
        assert sqlite.rows("SELECT * FROM target ORDER BY k") == before
    land(sqlite, csv_outputs("k,v\n5,y\n7,w\n"), **options)
    assert ("y",) in sqlite.rows("SELECT v FROM target WHERE k = 5")
