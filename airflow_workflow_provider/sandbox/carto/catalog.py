"""The warehouses behind the sandbox's CARTO connections and the workflows published on them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal

from .names import workflow_hash

AIRPORTS = '"carto-demo-data".demo_tables.airports'


@dataclass(frozen=True)
class Connection:
    """A CARTO connection: its name is part of every path, its provider decides the SQL dialect."""

    name: str
    provider_id: Literal["bigquery", "snowflake"]
    catalog: str
    schema: str
    location: str = "US"

    def full_name(self, table: str) -> str:
        """A table's or procedure's full name, without quotes."""
        return f"{self.catalog}.{self.schema}.{table}"


@dataclass(frozen=True)
class Variable:
    """A workflow variable marked as parameter; its default is text, as in the diagram's JSON."""

    name: str
    type: Literal["Number", "String"]
    default: str

    @property
    def sql_type(self) -> str:
        """The procedure's parameter type: exported BigQuery procedures declare FLOAT64 and STRING."""
        return {"Number": "FLOAT64", "String": "STRING"}[self.type]

    @property
    def example(self) -> float | str:
        """The default as a caller would write it: whole numbers without a fraction."""
        return json.loads(self.default) if self.type == "Number" else self.default

    def value(self, given: float | str | None) -> float | str:
        """The value used: the default instead of NULL, numbers as FLOAT64."""
        chosen = self.default if given is None else given
        return float(chosen) if self.type == "Number" else str(chosen)


@dataclass(frozen=True)
class Workflow:
    """A published workflow: DuckDB SQL with ``$name`` parameters, and what its diagram says about output and cache.

    ``sleeps`` names the parameter that holds the seconds it takes, ``saves`` the table of a *Save as table* component.
    """

    name: str
    summary: str
    sql: str
    variables: tuple[Variable, ...] = ()
    connection: str = "carto_dw"
    mode: Literal["async", "sync"] = "async"
    output: bool = True
    use_cache: bool = True
    sleeps: str | None = None
    saves: str | None = None

    @property
    def procedure(self) -> str:
        """The full name of its stored procedure."""
        return CONNECTIONS[self.connection].full_name(f"wfproc_api_{workflow_hash(f'sandbox/{self.name}')}")

    @property
    def call(self) -> str:
        """The statement that the API dialog shows."""
        if CONNECTIONS[self.connection].provider_id == "snowflake":
            # inferred: the dialog's form for Snowflake is not known; the SQL API takes `:1` with a list.
            places = ",".join(f":{index}" for index in range(1, len(self.variables) + 1))
            return f"CALL {self.procedure}({places})"
        return f"CALL `{self.procedure}`({','.join('@' + variable.name for variable in self.variables)})"


CONNECTIONS = {
    one.name: one
    for one in (
        Connection("carto_dw", "bigquery", "carto-dw-ac-sandbox", "workflows_temp_sandbox_5a17b0c3"),
        Connection("snowflake_dw", "snowflake", "SANDBOX", "WORKFLOWS_TEMP"),
    )
}

STATE = Variable("state", "String", "TX")
MIN_AIRPORTS = Variable("min_airports", "Number", "10")
ROWS = Variable("rows", "Number", "1000")

BY_STATE = f"""
    SELECT state, count(*) AS airports, avg(latitude) AS mean_latitude, avg(longitude) AS mean_longitude
    FROM {AIRPORTS} WHERE state <> 'NA' GROUP BY state HAVING count(*) >= $min_airports ORDER BY airports DESC, state"""
IN_STATE = f"SELECT iata, name, city, state, latitude, longitude FROM {AIRPORTS} WHERE state = $state ORDER BY iata"
# The haversine formula on a sphere, which is what BigQuery's ST_DISTANCE uses as well.
NEAR = f"""
    SELECT * FROM (SELECT iata, name, city, state, latitude, longitude, round(12742.0176 * asin(sqrt(
             sin(radians(latitude - $latitude) / 2) ** 2 + cos(radians($latitude)) * cos(radians(latitude))
             * sin(radians(longitude - $longitude) / 2) ** 2)), 3) AS distance_km
      FROM {AIRPORTS}) WHERE distance_km <= $radius_km ORDER BY distance_km, iata"""
NUMBERED = f"""
    WITH numbered AS (SELECT *, row_number() OVER (ORDER BY iata) - 1 AS number FROM {AIRPORTS})
    SELECT i AS id, iata, name, state, latitude + i // 3376 * 1e-6 AS latitude, longitude,
           TIMESTAMPTZ '2024-01-01 00:00:00+00' + to_seconds(i) AS seen_at
    FROM range($rows::BIGINT) AS series(i) JOIN numbered ON number = i % 3376 ORDER BY i"""
EVERY_TYPE = """
    SELECT * FROM (VALUES
      (1, 9007199254740993, 2.5, 12345678901234567890.123456789::DECIMAL(38, 9), true, '007', DATE '2024-02-29',
       TIMESTAMP '2024-02-29 12:34:56.789012', TIMESTAMPTZ '2024-02-29 12:34:56.789012+05:30', TIME '23:59:59.5',
       'POINT(-97.67 30.19)'::GEOMETRY, ['a', 'b'], '{"k": [1, null]}'::JSON, 'straight', 'x'),
      (2, -9223372036854775808, 0.1, -0.000000001, false, 'Zürich 東京 🛩', DATE '1969-12-31',
       TIMESTAMP '1969-12-31 23:59:59', TIMESTAMPTZ '1969-12-31 23:59:59+00', TIME '00:00:00',
       'POLYGON((0 0,1 0,1 1,0 0))'::GEOMETRY, [], '{}', 'quote " slash \\ comma ,', 'it''s'),
      (3, 9223372036854775807, 1e300, 0, true, '', DATE '9999-12-31', TIMESTAMP '9999-12-31 23:59:59.999999',
       TIMESTAMPTZ '9999-12-31 23:59:59.999999+00', TIME '12:00:00', 'POINT(0 0)'::GEOMETRY, [NULL], '[]',
       'line' || chr(10) || 'tab' || chr(9), 'null'),
      (4, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)
    ) AS t(id, big_number, ratio, amount, flag, code, day, local_time, instant, clock, geom, tags, attributes,
           "two words", "say ""hi"" now")"""

WORKFLOWS = (
    Workflow("airports_by_state", "airports per state, for states with at least this many", BY_STATE, (MIN_AIRPORTS,)),
    Workflow("airports_in_state", "the airports of one state", IN_STATE, (STATE,)),
    Workflow(
        "airports_near",
        "airports within a radius of a point; cache off",
        NEAR,
        (
            Variable("longitude", "Number", "-97.67"),
            Variable("latitude", "Number", "30.19"),
            Variable("radius_km", "Number", "100"),
        ),
        use_cache=False,
    ),
    Workflow("many_rows", "a table of as many rows as you like", NUMBERED, (ROWS,)),
    Workflow("every_type", "difficult values, types and column names", EVERY_TYPE),
    Workflow(
        "clock",
        "one row with the time of its execution: shows the cache",
        "SELECT $label AS label, now() AS executed_at",
        (Variable("label", "String", ""),),
    ),
    Workflow("failing", "fails with a SQL error at run time", f"SELECT iata::INTEGER AS number FROM {AIRPORTS}"),
    Workflow(
        "slow",
        "runs for as many seconds as you like",
        "SELECT $seconds AS seconds",
        (Variable("seconds", "Number", "30"),),
        use_cache=False,
        sleeps="seconds",
    ),
    Workflow("no_output", "saves a table, has no Output component", IN_STATE, (STATE,), output=False, saves="saved"),
    Workflow("airports_sync", "sync mode: the answer has the rows", BY_STATE, (MIN_AIRPORTS,), mode="sync"),
    Workflow(
        "sf_airports_by_state",
        "airports per state, for states with at least this many",
        BY_STATE,
        (MIN_AIRPORTS,),
        "snowflake_dw",
    ),
    Workflow("sf_airports_in_state", "the airports of one state", IN_STATE, (STATE,), "snowflake_dw"),
    Workflow("sf_many_rows", "a table of as many rows as you like", NUMBERED, (ROWS,), "snowflake_dw"),
)
BY_PROCEDURE = {workflow.procedure.upper(): workflow for workflow in WORKFLOWS}
