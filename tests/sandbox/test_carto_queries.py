"""Reading through CARTO's synchronous queries: dialects, types, limits and the CDN's cache."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest


def test_answer_has_rows_schema_and_meta(carto):
    """The three parts of a query's answer, with generic types."""
    body = carto.query("SELECT 1 AS n, 'a' AS s, TRUE AS b").json()
    assert body["rows"] == [{"n": 1, "s": "a", "b": True}]
    assert [column["type"] for column in body["schema"]] == ["number", "string", "boolean"]
    assert body["meta"].keys() == {"cacheHit", "location", "totalBytesProcessed"}


@pytest.mark.parametrize(
    ("query", "body"),
    [("q", {"query": "SELECT 1"}), ("q", {"q": "", "query": "SELECT 1"}), ("query", {"q": "SELECT 1"})],
)
def test_query_takes_q_and_job_takes_query(carto, query, body):
    """SQL under the other endpoint's key is not seen; both keys with one empty are fine."""
    path = {"q": "/query", "query": "/job"}[query]
    answer = carto.send("POST", path, json=body)
    assert (answer.status_code, answer.json()["error"]) == (400, f"Missing parameter: {query}")
    assert carto.send("POST", "/query", json={"q": "SELECT 1", "query": ""}).status_code == 200


@pytest.mark.parametrize("body", ["", "{", "[]", '{"q": 1}', '{"q": "SELECT 1", "queryParameters": "x"}'])
def test_body_that_is_none_is_400(carto, body):
    """A body must be a JSON object with SQL and parameters of the right kinds."""
    assert carto.send("POST", "/query", data=body).status_code == 400


def test_every_type_survives(carto):
    """Integers beyond 2^53, decimals, dates, zones, unicode and odd column names come as they are stored."""
    table = carto.run("every_type", {})
    body = json.loads(carto.query(f"SELECT * FROM `{table}` ORDER BY id").content, parse_float=Decimal)
    first, second, third, empty = body["rows"]
    assert [row["big_number"] for row in (first, second, third)] == [2**53 + 1, -(2**63), 2**63 - 1]
    assert first["amount"] == Decimal("12345678901234567890.123456789")
    assert (first["day"], first["instant"]) == ("2024-02-29", "2024-02-29T07:04:56.789012Z")
    assert (first["code"], first["tags"], first["attributes"]) == ("007", ["a", "b"], {"k": [1, None]})
    assert (second["code"], second["geom"]) == ("Zürich 東京 🛩", "POLYGON ((0 0, 1 0, 1 1, 0 0))")
    assert (second['say "hi" now'], third["two words"]) == ("it's", "line\ntab\t")
    assert third["instant"] == "9999-12-31T23:59:59.999999Z"
    assert set(empty.values()) == {4, None}
    types = {column["name"]: column["type"] for column in body["schema"]}
    assert (types["instant"], types["local_time"], types["day"]) == ("timestamp", "datetime", "date")
    assert (types["geom"], types["amount"], types["tags"]) == ("geography", "number", "array")


def test_bigquery_paging_and_partitioning(carto):
    """LIMIT/OFFSET pages and fingerprint partitions each give every row once."""
    table = carto.run("many_rows", {"rows": 1000})
    assert carto.rows(f"SELECT COUNT(*) AS n FROM `{table}`") == [{"n": 1000}]
    pages = [carto.rows(f"SELECT id FROM `{table}` ORDER BY id LIMIT 300 OFFSET {at}") for at in range(0, 1000, 300)]
    assert [row["id"] for page in pages for row in page] == list(range(1000))
    part = f"SELECT id FROM `{table}` AS t WHERE MOD(ABS(FARM_FINGERPRINT(TO_JSON_STRING(t))), 4) = "
    parts = [[row["id"] for row in carto.rows(part + str(rest))] for rest in range(4)]
    assert sorted(one for found in parts for one in found) == list(range(1000))
    assert all(150 < len(found) < 350 for found in parts)


def test_snowflake_speaks_its_own_way(carto):
    """List parameters, names in upper case, HASH(*), and its own words for a table that is not there."""
    snowflake = carto.on("snowflake_dw")
    table = snowflake.run("sf_airports_in_state", ["VT"])
    assert table.startswith("SANDBOX.WORKFLOWS_TEMP.wfproc_api_")
    rows = snowflake.rows(f'SELECT iata, "NAME", :1 AS given FROM {table} ORDER BY iata LIMIT 1', ["x"])
    assert rows == [{"IATA": "0B7", "NAME": "Warren-Sugar Bush", "GIVEN": "x"}]
    parts = [snowflake.rows(f"SELECT iata FROM {table} WHERE MOD(ABS(HASH(*)), 3) = {rest}") for rest in range(3)]
    assert sum(map(len, parts)) == snowflake.rows(f"SELECT COUNT(*) AS n FROM {table}")[0]["N"]
    missing = snowflake.query("SELECT * FROM SANDBOX.WORKFLOWS_TEMP.NONE")
    assert "Object 'SANDBOX.WORKFLOWS_TEMP.NONE' does not exist" in missing.json()["error"]
    assert snowflake.query("SELECT :2", ["x"]).json()["error"] == "SQL compilation error: Bind variable :2 not set."


def test_query_parameters(carto):
    """Named parameters keep their types, arrays work, and a GET carries them as JSON text."""
    sql = "SELECT iata FROM `carto-demo-data.demo_tables.airports` "
    sql += "WHERE state = @state AND latitude > @north ORDER BY iata"
    assert carto.rows(sql, {"state": "VT", "north": 44.8}) == [{"iata": "EFK"}, {"iata": "FSO"}]
    listed = "SELECT COUNT(*) AS n FROM `carto-demo-data.demo_tables.airports` WHERE iata IN UNNEST(@codes)"
    assert carto.rows(listed, {"codes": ["AUS", "SFO", "it's"]}) == [{"n": 2}]
    answer = carto.send("GET", "/query", params={"q": "SELECT @n AS n", "queryParameters": '{"n": 5}'})
    assert answer.json()["rows"] == [{"n": 5}]


def test_result_is_cut_at_the_cap(sandbox, carto):
    """200,000 rows at most; whether more are cut or refused is a switch."""
    assert sandbox.settings("carto")["row_cap"] == 200_000
    sandbox.settings("carto", row_cap=100)
    table = carto.run("many_rows", {"rows": 150})
    assert len(carto.rows(f"SELECT * FROM `{table}`")) == 100
    sandbox.settings("carto", row_cap_error=True)
    answer = carto.query(f"SELECT * FROM `{table}`")
    assert (answer.status_code, answer.json()["error"]) == (400, "Results are capped at 100 rows")
    assert len(carto.rows(f"SELECT * FROM `{table}` LIMIT 100")) == 100


def test_query_must_end_in_time(sandbox, carto):
    """A synchronous query has a minute; what takes longer is an error, and the server goes on."""
    sandbox.settings("carto", sync_seconds=0.2)
    call = carto.call("slow", {"seconds": 30})
    answer = carto.query(call["query"], call["queryParameters"])
    assert (answer.status_code, answer.json()["error"]) == (408, "Query timeout")
    heavy = "SELECT COUNT(*) AS n FROM UNNEST(GENERATE_ARRAY(1, 300000)) a, UNNEST(GENERATE_ARRAY(1, 300000)) b"
    assert carto.query(f"{heavy} WHERE a * b = 7").status_code == 408
    sandbox.settings("carto", sync_seconds=60)
    assert carto.rows("SELECT 1 AS one") == [{"one": 1}]


def test_get_is_cached_for_a_year_and_post_never(sandbox, carto):
    """The stale GET: the same URL answers yesterday's rows, the same POST today's."""
    table = carto.run("clock", {"label": "a"})
    sql = f"SELECT executed_at FROM `{table}`"
    first = carto.send("GET", "/query", params={"q": sql})
    assert first.headers["cache-control"] == "public, max-age=31536000"
    sandbox.settings("carto", use_cache=False)
    carto.run("clock", {"label": "a"})
    assert carto.send("GET", "/query", params={"q": sql}).json() == first.json()
    assert carto.rows(sql) != first.json()["rows"]
    fresh = carto.send("GET", "/query", params={"q": sql}, headers={"Cache-Control": "no-cache"})
    assert fresh.json()["rows"] == carto.rows(sql)


def test_calling_by_get_query_runs_only_once(sandbox, carto):
    """A CALL in a cached GET does not run the second time."""
    call = carto.call("clock", {"label": "x"})
    parameters = {"q": call["query"], "queryParameters": '{"label": "x"}'}
    bodies = [carto.send("GET", "/query", params=parameters) for _ in range(2)]
    assert [body.headers["x-cache"] for body in bodies] == ["MISS", "HIT"]


def test_sync_workflow_answers_its_rows(carto):
    """A workflow in sync mode answers rows and says where its out table is; an async one only the latter."""
    call = carto.call("airports_sync", {"min_airports": 200})
    body = carto.query(call["query"], call["queryParameters"]).json()
    assert [row["state"] for row in body["rows"]] == ["AK", "TX", "CA"]
    assert (body["meta"]["providerId"], body["meta"]["cacheHit"]) == ("bigquery", False)
    assert carto.rows(f"SELECT * FROM `{body['meta']['workflowOutputTableName']}`") == body["rows"]
    call = carto.call("airports_by_state", {"min_airports": 200})
    assert carto.query(call["query"], call["queryParameters"]).json()["rows"] == []


@pytest.mark.parametrize(
    "sql", ["SELECT * FROM read_csv('/etc/passwd')", "SELECT * FROM read_text('/etc/passwd')", "SET threads = 1"]
)
def test_sql_reaches_no_files_and_no_settings(carto, sql):
    """The sandbox runs any caller's SQL, so that SQL stays inside the warehouse."""
    assert carto.query(sql).status_code == 400
