"""The apps on the sandbox's Alteryx Server and the SQL that they stand for.

inferred: the question types other than QuestionListBox and QuestionDate, and that several chosen items are one text
with commas.
"""

from __future__ import annotations

from .catalog import CONVERSION_ERROR, CSV, ENGINE, INFO, WARNING, App, Output, Question

DAILY = """
    SELECT date, precipitation, temp_max, temp_min, wind, weather FROM weather
    WHERE date BETWEEN CAST($start AS DATE) AND CAST($end AS DATE)
      AND weather IN (SELECT trim(unnest(string_split($weather, ',')))) ORDER BY date"""
DAYS_OF_YEAR = """
    SELECT date, temp_max, temp_min, precipitation FROM weather
    WHERE year(date) = CAST($year AS INTEGER) ORDER BY date"""
MONTHS_OF_YEAR = """
    SELECT CAST(month(date) AS INTEGER) AS month, CAST(count(*) AS INTEGER) AS days, max(temp_max) AS temp_max,
           CAST(sum(CAST(precipitation AS DECIMAL(9, 1))) AS DECIMAL(9, 1)) AS precipitation
    FROM weather WHERE year(date) = CAST($year AS INTEGER) GROUP BY ALL ORDER BY month"""
PRICES = "SELECT symbol, date, price FROM stocks WHERE symbol = $symbol ORDER BY date"
IN_STATE = "SELECT iata, name, city, state, latitude, longitude FROM airports WHERE state = $state ORDER BY iata"
NUMBERED = """
    WITH numbered AS (SELECT *, row_number() OVER (ORDER BY iata) - 1 AS number FROM airports)
    SELECT i AS id, iata, name, state, latitude + i // 3376 * 1e-6 AS latitude, longitude,
           TIMESTAMP '2024-01-01 00:00:00' + to_seconds(i) AS seen_at
    FROM range(CAST($rows AS BIGINT)) AS series(i) JOIN numbered ON number = i % 3376 ORDER BY i"""
EVERY_TYPE = """
    SELECT CAST(id AS INTEGER) AS id, CAST(tiny AS UTINYINT) AS tiny, CAST(small AS SMALLINT) AS small,
           CAST(big AS BIGINT) AS big, CAST(single AS FLOAT) AS single, CAST(ratio AS DOUBLE) AS ratio,
           CAST(amount AS DECIMAL(19, 6)) AS amount, flag, code, text AS "two words", day, moment
    FROM (VALUES
      (1, 0, -32768, 9007199254740993, 0.5, 0.1, 1234567890123.456789, true, '007', 'Zürich 東京 🛩',
       DATE '2024-02-29', TIMESTAMP '2024-02-29 12:34:56'),
      (2, 255, 32767, -9223372036854775807, -1.25, 1e300, -0.000001, false, '01', 'quote " comma , and' || chr(10) ||
       'a new line', DATE '1969-12-31', TIMESTAMP '1969-12-31 23:59:59'),
      (3, 7, 0, 9223372036854775807, 0, -2.5, 0, true, '', repeat('long ', 100),
       DATE '9999-12-31', TIMESTAMP '9999-12-31 00:00:00'),
      (4, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)
    ) AS t(id, tiny, small, big, single, ratio, amount, flag, code, text, day, moment) ORDER BY id"""
# What a job was started with, one row each; the last three are no questions but the body's own fields.
ECHO = """
    SELECT name, value FROM (VALUES (1, 'Text', $text), (2, 'Number', $number), (3, 'Date', $date),
      (4, 'Check Box (5)', $check), (5, 'priority', $priority), (6, 'workerTag', $worker_tag),
      (7, 'credentialId', $credential_id)) AS t(place, name, value) ORDER BY place"""
ONE_ROW = "SELECT 1 AS number, 'sandbox' AS text"

KINDS_OF_WEATHER = ("drizzle", "fog", "rain", "snow", "sun")
SYMBOLS = ("AAPL", "AMZN", "GOOG", "IBM", "MSFT")
# The errors of a real job, read in https://github.com/CVelandiaC/AlteryxAPIRunWorkflows, spelling included.
S3_NEEDS = {
    "bucket": "Must especify a bucket. Please connect with API input parameter.",
    "keys": "Must especify a s3 keys. Please connect with API input parameter.",
    "environment": "Must especify a environment. Please connect with API input parameter.",
}


def text(name: str, variable: str, value: str = "", description: str = "") -> Question:
    """A question with a box to write in."""
    return Question(name, variable, "QuestionTextBox", value, description)


def number(name: str, variable: str, value: str, description: str = "") -> Question:
    """A question for a number."""
    return Question(name, variable, "QuestionNumericUpDown", value, description)


def date(name: str, variable: str, value: str, description: str = "") -> Question:
    """A question for a day."""
    return Question(name, variable, "QuestionDate", value, description)


APPS = (
    App(
        "5f0e2c000000000000000001",
        "Seattle weather",
        "daily weather between two days; one .yxdb",
        (
            date("Start", "start", "2012-01-01", "First day"),
            date("End", "end", "2015-12-31", "Last day"),
            Question(
                "Weather",
                "weather",
                "QuestionListBox",
                ",".join(KINDS_OF_WEATHER),
                "Kinds of weather",
                KINDS_OF_WEATHER,
                multiple=True,
            ),
        ),
        (Output("seattle_weather.yxdb", DAILY),),
    ),
    App(
        "5f0e2c000000000000000002",
        "Stock prices",
        "monthly prices of one share; one .csv",
        (Question("Symbol", "symbol", "QuestionListBox", "IBM", "Share", SYMBOLS),),
        (Output("stock_prices.csv", PRICES, CSV),),
        amp=True,
    ),
    App(
        "5f0e2c000000000000000003",
        "Weather report",
        "one year: two outputs, days as .yxdb and months as .csv",
        (number("Year", "year", "2015"),),
        (Output("daily.yxdb", DAYS_OF_YEAR), Output("monthly.csv", MONTHS_OF_YEAR, CSV)),
    ),
    App(
        "5f0e2c000000000000000004",
        "Airports",
        "the airports of one state; codes with leading zeros",
        (text("State", "state", "TX"),),
        (Output("airports.yxdb", IN_STATE),),
    ),
    App(
        "5f0e2c000000000000000005",
        "Many rows",
        "as many rows as you like; one .csv",
        (number("Rows", "rows", "1000"),),
        (Output("many_rows.csv", NUMBERED, CSV),),
        amp=True,
    ),
    App(
        "5f0e2c000000000000000006",
        "Every type",
        "difficult values, types and column names; succeeds with warnings",
        outputs=(Output("every_type.yxdb", EVERY_TYPE),),
        messages=((WARNING, "A value was cut off.", 3), (CONVERSION_ERROR, "'abc' is no number.", 4)),
    ),
    App(
        "5f0e2c000000000000000007",
        "Echo",
        "what it was asked, one row per question",
        (text("Text", "text"), number("Number", "number", "0"), date("Date", "date", ""),
         Question("Check Box (5)", "check", "QuestionBoolean", "False")),
        (Output("answers.csv", ECHO, CSV),),
    ),
    App(
        "5f0e2c000000000000000008",
        "Upload to S3",
        "has no output; fails until its three questions are answered",
        (text("bucket", "bucket"), text("s3 keys", "keys"), text("environment", "environment")),
        messages=((INFO, "This is AMP Engine; running 16 worker threads; memory limit 24.4 GB.", ENGINE),),
        needs=S3_NEEDS,
        amp=True,
    ),
    App(
        "5f0e2c000000000000000009",
        "Failing",
        "fails with the error you give",
        (text("Message", "message", "The input file was not found."),),
        fails="message",
    ),
    App(
        "5f0e2c00000000000000000a",
        "Slow",
        "runs for as many seconds as you like",
        (number("Seconds", "seconds", "30"),),
        (Output("slow.csv", "SELECT CAST($seconds AS DOUBLE) AS seconds", CSV),),
        sleeps="seconds",
    ),
    App("5f0e2c00000000000000000b", "Never ending", "stays Running until it is cancelled", never_ends=True),
    App("5f0e2c00000000000000000c", "Restricted", "may be seen but not executed: 403", executable=False),
    App("5f0e2c00000000000000000d", "Demo app", "one row", outputs=(Output("demo.csv", ONE_ROW, CSV),)),
    App("5f0e2c00000000000000000e", "Demo app 2", "one row; its name begins like another's"),
    App("5f0e2c00000000000000000f", "Twin", "one of two apps of that name"),
    App("5f0e2c000000000000000010", "Twin", "the other one"),
)  # fmt: skip
BY_ID = {app.id: app for app in APPS}
