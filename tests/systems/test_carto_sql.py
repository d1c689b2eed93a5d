"""The SQL that CARTO's warehouses get."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_workflow_provider.exceptions import InvalidArgument, OutputUnavailable, RequestRejected, ServerUnavailable
from airflow_workflow_provider.systems.carto.sql import (
    DIALECTS,
    ROW_CAP,
    SHARD_ROWS,
    SWAP_PAUSE,
    call,
    columns,
    is_table_name,
    pages,
    signature_of,
    signature_query,
    table_name,
)
from tests.protocol.playing import Player

NAME = "p-1.d.wfproc_1"


@pytest.mark.parametrize(
    ("workflow", "parameters", "warehouse", "sql"),
    [
        (NAME, {}, "", f"CALL `{NAME}`()"),
        (NAME, {"b": 1, "a": 2}, "", f"CALL `{NAME}`(@b,@a)"),
        (f"`{NAME}`", {"b": 1, "a": 2}, "", f"CALL `{NAME}`(@b,@a)"),
        (f" {NAME} ", {"n": 1}, "bigquery", f"CALL `{NAME}`(@n)"),
        (f"`{NAME}`", {"n": 1}, "bigquery", f"CALL `{NAME}`(@n)"),
        ("p.`d`.x", {}, "bigquery", "CALL `p.d.x`()"),
        ("DB.S.WF", ["x", 2], "snowflake", "CALL DB.S.WF(:1,:2)"),
        ("s.wf", ["x", 2], "postgres", "CALL s.wf($1,$2)"),
        ("s.wf", ["x"], "redshift", "CALL s.wf($1)"),
        ("c.s.wf", {"x": 1, "y": 2}, "databricks", "CALL c.s.wf(x => :x,y => :y)"),
        ("`c-1`.s.wf", {}, "databricks", "CALL `c-1`.s.wf()"),
        ("c-1.s.wf", {}, "databricks", "CALL `c-1`.s.wf()"),
        ("DB.S.WF", {"b": "x", "a": 2}, "snowflake", "CALL DB.S.WF(b => :1,a => :2)"),
        ('DB."my S".WF', [], "snowflake", 'CALL DB."my S".WF()'),
        ('DB."a""b".WF', [], "snowflake", 'CALL DB."a""b".WF()'),
        ("s.wf", {"b": "x"}, "postgres", "CALL s.wf(b => $1)"),
        ("s.wf", {"b": "x"}, "oracle", "CALL s.wf(b => :1)"),
        ("s.wf", [1], "oracle", "CALL s.wf(:1)"),
        ("s.wf", [], "snowflake", "CALL s.wf()"),
        ("s.wf", {}, "snowflake", "CALL s.wf()"),
        (f"CALL `{NAME}`(@n)", {"n": 1}, "", f"CALL `{NAME}`(@n)"),
        ("  call s.wf(:1)  ", ["x"], "snowflake", "call s.wf(:1)"),
        ("CALL\ns.wf('a@b.com')", {}, "", "CALL\ns.wf('a@b.com')"),
        ("callcenter.wf", {}, "", "CALL `callcenter.wf`()"),
    ],
)
def test_a_procedure_is_called_with_the_placeholders_of_its_warehouse(workflow, parameters, warehouse, sql):
    """A whole CALL goes as the user's dialog shows it; from a name it is built, in the order given."""
    assert call(workflow, parameters, warehouse)[0] == sql


@pytest.mark.parametrize(
    ("workflow", "parameters", "warehouse", "argument"),
    [
        ("", {}, "", "workflow"),
        ("   ", {}, "", "workflow"),
        ("SELECT 1", {}, "", "workflow"),
        ("SELECT 1;", {}, "", "workflow"),
        ("a.b.c.d.e", {}, "", "workflow"),
        ("a..b", {}, "", "workflow"),
        ("a.b.", {}, "", "workflow"),
        ("`a", {}, "", "workflow"),
        ("`a`b`", {}, "", "workflow"),
        ("a`; DROP TABLE b; --`", {}, "", "workflow"),
        ("`a\\`; DROP TABLE b; --", {}, "", "workflow"),
        ('"a"; DROP TABLE b; --"', {}, "snowflake", "workflow"),
        ('a" OR "b', {}, "postgres", "workflow"),
        ("a\x00b", {}, "", "workflow"),
        ("a\nb", {}, "", "workflow"),
        ("wf; DROP TABLE x", {}, "", "workflow"),
        ("wf()", {}, "", "workflow"),
        (NAME, [1], "bigquery", "query_parameters"),
        ("s.wf", {"x": 1}, "redshift", "query_parameters"),
        ("s.wf", {"x => 1, y": 1}, "snowflake", "query_parameters"),
        (NAME, {"a b": 1}, "", "query_parameters"),
        (NAME, {"n) --": 1}, "", "query_parameters"),
        ("CALL wf(@n, @m)", {"n": 1}, "", "query_parameters"),
        ("CALL wf(@n)", {"n": 1, "m": 2}, "", "query_parameters"),
        ("CALL wf(@n)", [{"n": 1}, {"n": 2}], "", "query_parameters"),
    ],
)
def test_what_cannot_be_called_names_the_argument(workflow, parameters, warehouse, argument):
    with pytest.raises(InvalidArgument, match=rf"^{argument}: "):
        call(workflow, parameters, warehouse)


def test_a_parameter_that_a_call_lacks_or_has_too_many_is_named():
    with pytest.raises(InvalidArgument, match="needs m, which is missing"):
        call("CALL wf(@n, @m)", {"n": 1}, "")
    with pytest.raises(InvalidArgument, match="has no parameter m"):
        call("CALL wf(@n)", {"n": 1, "m": 2}, "")


@given(
    st.text(max_size=30),
    st.dictionaries(st.text(max_size=5), st.integers(), max_size=3),
    st.sampled_from(list(DIALECTS)),
)
def test_a_call_that_is_built_holds_nothing_but_a_name_and_placeholders(workflow, parameters, warehouse):
    """Values never become part of the SQL, and neither does a second statement."""
    if workflow.strip().lower().startswith("call"):
        return
    try:
        sql, _ = call(workflow, parameters, warehouse)
    except InvalidArgument:
        return
    name, placeholders = sql.removeprefix("CALL ")[:-1].rsplit("(", 1)
    quote = DIALECTS[warehouse].quote
    outside = re.sub(f"{quote}(?:[^{quote}]|{quote}{quote})*{quote}", "", name)
    assert not set(";()\n'@ `\"-") & set(outside)
    assert re.fullmatch(r"[\w@:$ =>,]*", placeholders)


NEAR = {"latitude": 1.0, "longitude": 2.0, "radius": 3}
SIGNATURE = ("longitude", "latitude", "radius")


def test_parameters_are_passed_in_the_order_of_the_procedure():
    """Whatever order the mapping has: BigQuery takes them by position, and compares names without case."""
    for given_ in (NEAR, dict(reversed(NEAR.items()))):
        text, bound = call(NAME, given_, "", SIGNATURE)
        assert text == f"CALL `{NAME}`(@longitude,@latitude,@radius)"
        assert bound == NEAR
    text, bound = call(NAME, {"Latitude": 1, "LONGITUDE": 2, "radius": 3}, "bigquery", SIGNATURE)
    assert text == f"CALL `{NAME}`(@LONGITUDE,@Latitude,@radius)"


def test_values_follow_their_names_where_a_warehouse_takes_numbered_parameters():
    assert call("s.wf", {"b": "x", "a": 2}, "snowflake") == ("CALL s.wf(b => :1,a => :2)", ["x", 2])


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        (
            {"latitude": 1, "longitude": 2, "radios": 3},
            "has no parameter 'radios'; it has: longitude, latitude, radius",
        ),
        ({"latitude": 1, "longitude": 2}, "'radius' of the procedure p-1.d.wfproc_1 is missing"),
        ({**NEAR, "more": 1}, "has no parameter 'more'"),
    ],
)
def test_names_that_the_procedure_does_not_have_are_refused(parameters, says):
    with pytest.raises(InvalidArgument, match=f"^query_parameters: .*{says}"):
        call(NAME, parameters, "", SIGNATURE)


def test_the_signature_is_asked_for_with_nothing_but_names():
    assert signature_query("`my-project.d.wf_1`") == (
        "SELECT parameter_name, ordinal_position FROM `my-project.d`.INFORMATION_SCHEMA.PARAMETERS "
        "WHERE specific_name = 'wf_1' ORDER BY ordinal_position"
    )
    for odd in ("wf", "p.d.it's", "p.d`x.wf", "", "p d.x.wf"):
        with pytest.raises(InvalidArgument, match="workflow: "):
            signature_query(odd)


@pytest.mark.parametrize(
    ("rows", "names"),
    [
        ([{"parameter_name": "b", "ordinal_position": 2}, {"parameter_name": "a", "ordinal_position": 1}], ("a", "b")),
        ([{"PARAMETER_NAME": "a", "ORDINAL_POSITION": 1}], ("a",)),
        ([], None),
        ([{"parameter_name": None, "ordinal_position": 0}], None),
        ([{"parameter_name": "a", "ordinal_position": "1"}], None),
        ([5], None),
    ],
)
def test_the_signature_is_read_or_not_known(rows, names):
    assert signature_of(rows) == names


HOSTILE = [
    "p.d.t; DROP TABLE p.d.prod; --",
    "`p.d.t`; DROP TABLE `p.d.prod`; --",
    '"p"."d"."t"; DROP TABLE x; --"',
    "(SELECT * FROM p.d.secret)",
    "p.d.t WHERE 1=1",
    "p.d.t/**/JOIN/**/x",
    "p.d.t--",
    "p.d.t\n",
    "p.d.`t",
    "p.d.t\\` x",
    "p.d." + "t" * 3_000,
    "",
    ".",
    "p..t",
]


@pytest.mark.parametrize("warehouse", DIALECTS)
@pytest.mark.parametrize("location", HOSTILE)
def test_the_location_of_a_table_is_a_name_or_refused(warehouse, location):
    """A run object may come from anybody: nothing but one quoted name becomes part of a statement."""
    quote = DIALECTS[warehouse].quote
    try:
        text = table_name(location, warehouse)
    except InvalidArgument as error:
        assert str(error).startswith("run: the location of the output table")  # noqa: PT017  # both ends are right
        assert not is_table_name(location, warehouse)
        return
    outside = re.sub(f"{quote}(?:[^{quote}]|{quote}{quote})*{quote}", "", text)
    assert re.fullmatch(r"[\w$.]*", outside)


class Table:
    """A table as CARTO answers queries about it."""

    def __init__(self, rows, errors=()):
        self.rows, self.asked, self.errors = rows, [], list(errors)

    def query(self, text):
        """Answer one query."""
        self.asked.append(text)
        if self.errors and (error := self.errors.pop(0)):
            raise error
        if "COUNT(*)" in text:
            return {"rows": [{"n": self.rows}]}
        shards = text.partition("), ")[2].partition(")")[0]
        share = (
            self.rows if not shards else self.rows // int(shards) + (text.endswith("= 0") and self.rows % int(shards))
        )
        return {"rows": [{"a": 1}] * share, "schema": [{"name": "a", "type": "number"}]}
        yield

    def read(self, warehouse="bigquery"):
        """Read it whole."""
        player = Player()
        player.play(pages("p.d.t", warehouse, self.query))
        return player


@pytest.mark.parametrize("rows", [0, 1, SHARD_ROWS])
def test_a_table_that_fits_is_read_at_once(rows):
    table = Table(rows)
    (page,) = table.read().chunks
    assert (len(page.rows), page.columns) == (rows, [("a", "number")])
    assert table.asked == ["SELECT COUNT(*) AS n FROM `p.d.t`", "SELECT * FROM `p.d.t`"]


def test_a_bigger_table_is_read_in_disjoint_shards_below_the_cap():
    """LIMIT and OFFSET without an order would give rows twice or not at all."""
    table = Table(450_001)
    chunks = table.read().chunks
    assert sum(len(page.rows) for page in chunks) == 450_001
    assert len(set(table.asked)) == len(table.asked) == 1 + 10
    assert all("FARM_FINGERPRINT" in text for text in table.asked[1:])
    assert max(len(page.rows) for page in chunks) < ROW_CAP


@pytest.mark.parametrize("warehouse", ["redshift", "oracle"])
def test_where_no_way_to_split_is_known_a_table_beyond_the_cap_is_refused(warehouse):
    assert sum(len(page.rows) for page in Table(ROW_CAP).read(warehouse).chunks) == ROW_CAP
    with pytest.raises(OutputUnavailable, match="200000"):
        Table(ROW_CAP + 1).read(warehouse)


def test_rows_that_are_missing_are_an_error():
    """A result that was cut, or a table replaced while it was read, must not pass for whole."""
    table = Table(5)
    query, table.query = table.query, lambda text: iter_rows(query, text)
    with pytest.raises(OutputUnavailable, match="has 5 rows, but 4 came"):
        table.read()


def iter_rows(query, text):
    """The answer of a query, a row short."""
    document = yield from query(text)
    return document if "COUNT" in text else {**document, "rows": document["rows"][1:]}


def test_a_table_that_is_being_replaced_is_asked_for_a_second_time():
    gone = RequestRejected("HTTP 400: Not found: Table p:d.t was not found", status=400)
    player = Table(2, errors=[gone]).read()
    assert (player.sleeps, len(player.chunks[0].rows)) == ([SWAP_PAUSE], 2)
    with pytest.raises(OutputUnavailable, match="Not found"):
        Table(2, errors=[gone, gone]).read()


def test_a_hiccup_while_a_table_is_read_does_not_end_the_reading():
    table = Table(2, errors=[ServerUnavailable("down"), None, ServerUnavailable("down")])
    assert len(table.read().chunks[0].rows) == 2
    assert len(table.asked) == 4


@pytest.mark.parametrize(
    "rows", [[], [{}], [5], [{"n": None}], [{"n": "many"}], [{"n": [1]}], [{"n": float("inf")}]], ids=repr
)
def test_a_count_that_is_none_is_an_error(rows):
    def query(text):
        return {"rows": rows}
        yield

    with pytest.raises(OutputUnavailable, match="holds no number") as failed:
        Player().play(pages("p.d.t", "bigquery", query))
    assert failed.value.__cause__ is None, "what Python says of a number holds a part of the answer"


@pytest.mark.parametrize(
    ("document", "found"),
    [
        ({"rows": [], "schema": [{"name": "a", "type": "STRING"}]}, [("a", "string")]),
        ({"rows": [], "schema": [{"name": "a", "type": "novelty"}, {"name": "b"}]}, [("a", "any"), ("b", "any")]),
        ({"rows": [{"x": 1, "y": 2}]}, [("x", "any"), ("y", "any")]),
        ({"rows": [{"x": 1}], "schema": []}, [("x", "any")]),
        ({"rows": [{"x": 1}], "schema": ["x"]}, [("x", "any")]),
        ({"rows": [5]}, []),
        ({"rows": []}, []),
    ],
)
def test_columns_come_from_the_schema_or_from_the_first_row(document, found):
    assert columns(document) == found
