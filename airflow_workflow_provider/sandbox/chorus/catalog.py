"""What the sandbox's Chorus holds: people, workspaces, workfiles, flows and jobs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

SCHEMA = "demo"
IDLE = "idle"  # status of a workfile
SECOND_SCHEMA = "staging"


@dataclass(frozen=True)
class User:
    """Somebody who can log in."""

    id: int
    username: str
    password: str
    last_name: str


@dataclass(frozen=True)
class Workspace:
    """Who is no member of a public workspace may look, not run; a private one is closed to others."""

    id: int
    name: str
    public: bool
    members: tuple[int, ...]


@dataclass(frozen=True)
class Operator:
    """A node of a flow: SQL with ``@variables`` as text, and the table that takes its rows.

    ``seconds`` is an expression for how long it takes longer than others, ``parts`` are the titled queries of an
    operator that shows several tables.
    """

    name: str
    algorithm: str
    table: str
    sql: str
    seconds: str | None = None
    parts: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Flow:
    """A workflow: its operators run in order."""

    summary: str
    operators: tuple[Operator, ...]
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class File:
    """A workfile; one without a flow is a SQL file, which Chorus pretends to run."""

    id: int
    workspace: Workspace
    name: str
    flow: Flow | None


@dataclass
class Workfile:
    """A workfile with its status; ``killable_id`` is the newest process, which Chorus does not show."""

    file: File
    status: str = IDLE
    killable_id: str | None = None


@dataclass(frozen=True)
class JobPlan:
    """A job: its flows run one after the other, with the defaults of their variables."""

    id: int
    workspace: Workspace
    name: str
    workfiles: tuple[int, ...]


ANALYST = User(1000006, "sandbox", "sandbox-chorus-password", "Analyst")
COLLEAGUE = User(1000007, "colleague", "sandbox-chorus-colleague-password", "Colleague")
VIEWER = User(1000008, "viewer", "sandbox-chorus-viewer-password", "Viewer")
USERS = {user.username: user for user in (ANALYST, COLLEAGUE, VIEWER)}

PUBLIC = Workspace(1000008, "Public", public=True, members=(ANALYST.id, COLLEAGUE.id))
ARCHIVE = Workspace(1000009, "Archive", public=True, members=(ANALYST.id,))
PRIVATE = Workspace(1000010, "Private", public=False, members=(COLLEAGUE.id,))
WORKSPACES = {workspace.id: workspace for workspace in (PUBLIC, ARCHIVE, PRIVATE)}

DAYS = """
    SELECT date, precipitation, temp_max, temp_min, wind, weather, @marker AS marker
    FROM demo.seattle_weather WHERE weather = @weather AND temp_max >= @min_temp ORDER BY date"""
MONTHS = """
    SELECT strftime(date, '%Y-%m') AS month, count(*) AS days, round(avg(temp_max), 2) AS mean_temp_max,
           round(sum(precipitation), 1) AS precipitation
    FROM demo.weather_days GROUP BY ALL ORDER BY month"""
AIRPORTS = """
    SELECT iata, name, city, state, latitude, longitude FROM demo.airports WHERE state = '@state' ORDER BY iata"""
NUMBERED = """
    SELECT i AS id, lpad(i::VARCHAR, 8, '0') AS code, DATE '2024-01-01' + (i % 366)::INTEGER AS day,
           (i * 7 % 100000 / 100)::DECIMAL(12, 2) AS amount, 'row ' || i || ' of @rows' AS note
    FROM range(@rows) AS numbers(i) ORDER BY i"""
EVERY_TYPE = """
    SELECT * FROM (VALUES
      (1, '007', 9007199254740993, 12345678.90::DECIMAL(12, 2), 2.5::DOUBLE, true, DATE '2024-02-29',
       TIMESTAMP '2024-02-29 12:34:56.789', 'comma, quote " and back\\slash'),
      (2, '', -9223372036854775808, -0.01, 0.1, false, DATE '1969-12-31',
       TIMESTAMP '1969-12-31 23:59:59', 'Zürich 東京 🛩'),
      (3, 'null', 0, 0, 1e300, true, DATE '9999-12-31',
       TIMESTAMP '9999-12-31 23:59:59', 'line' || chr(10) || 'break'),
      (4, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)
    ) AS t(id, code, big_number, amount, ratio, flag, day, instant, "two words") ORDER BY id"""
COUNTS = "SELECT weather, count(*) AS days FROM demo.seattle_weather GROUP BY weather ORDER BY weather"
RANGES = """
    SELECT 'temp_max' AS column_name, min(temp_max) AS minimum, max(temp_max) AS maximum FROM demo.seattle_weather
    UNION ALL SELECT 'wind', min(wind), max(wind) FROM demo.seattle_weather"""

WEATHER_FLOW = Flow(
    "days of one kind of weather and their months; @weather and @marker want quotes in the value",
    (
        Operator("Row Filter", "Row Filter", "weather_days", DAYS),
        Operator("Monthly Means", "Aggregation", "weather_months", MONTHS),
    ),
    {"@weather": "'rain'", "@min_temp": "-10", "@marker": "''"},
)
AIRPORTS_FLOW = Flow(
    "the airports of one state; @state without quotes",
    (Operator("Row Filter", "Row Filter", "state_airports", AIRPORTS),),
    {"@state": "TX"},
)
ROWS_FLOW = Flow(
    "a table of as many rows as you like",
    (Operator("Numbers", "SQL Execute", "many_rows", NUMBERED),),
    {"@rows": "1000"},
)
SLOW_FLOW = Flow(
    "runs for as many seconds as you like",
    (Operator("Sleep", "SQL Execute", "slow_result", "SELECT @seconds AS seconds", seconds="@seconds"),),
    {"@seconds": "30"},
)
FAILING_FLOW = Flow(
    "its second operator fails in the database",
    (
        Operator("Weather Counts", "Aggregation", "weather_counts", COUNTS),
        Operator("Variable", "Variable", "failed", "SELECT weather::INTEGER AS number FROM demo.weather_counts"),
    ),
)
EMPTY_FLOW = Flow(
    "leaves a table without rows",
    (Operator("Row Filter", "Row Filter", "no_days", "SELECT date, wind FROM demo.seattle_weather WHERE wind < 0"),),
)
TYPES_FLOW = Flow("difficult values", (Operator("Every Type", "SQL Execute", "every_type", EVERY_TYPE),))
SUMMARY_FLOW = Flow(
    "one operator that shows two tables",
    (
        Operator(
            "Summary Statistics",
            "Summary Statistics",
            "weather_statistics",
            RANGES,
            parts=(("Numeric", RANGES), ("Categorical", COUNTS)),
        ),
    ),
)

# The names that differ only where SQL's LIKE does not look, and the name that two workspaces share, are on purpose.
FILES = (
    File(1000004, PUBLIC, "weather_days", WEATHER_FLOW),
    File(1000005, PUBLIC, "state_airports", AIRPORTS_FLOW),
    File(1000006, PUBLIC, "many_rows", ROWS_FLOW),
    File(1000007, PUBLIC, "slow", SLOW_FLOW),
    File(1000008, PUBLIC, "failing", FAILING_FLOW),
    File(1000009, PUBLIC, "empty", EMPTY_FLOW),
    File(1000010, PUBLIC, "every_type", TYPES_FLOW),
    File(1000011, PUBLIC, "summary", SUMMARY_FLOW),
    File(1000012, PUBLIC, "weather-days", EMPTY_FLOW),
    File(1000013, PUBLIC, "copied_flow", AIRPORTS_FLOW),
    File(1000014, PUBLIC, "notes.sql", None),
    File(1000020, ARCHIVE, "copied_flow", AIRPORTS_FLOW),
    File(1000030, PRIVATE, "secret_flow", AIRPORTS_FLOW),
)
JOBS = (
    JobPlan(1000001, PUBLIC, "nightly_weather", (1000004,)),
    JobPlan(1000002, PUBLIC, "two_steps", (1000005, 1000006)),
    JobPlan(1000003, PUBLIC, "failing_job", (1000008, 1000004)),
    JobPlan(1000004, PUBLIC, "slow_job", (1000007,)),
)
