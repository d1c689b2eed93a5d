"""All commands and their arguments, once for both command lines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airflow_workflow_provider.cli import values

PACKAGE = "airflow_workflow_provider.cli"
GROUP, PROGRAM = "workflow-runs", "python -m airflow_workflow_provider"
HELP = "Start, watch, cancel and read runs of workflow systems"
FORMATS = ("table", "json", "yaml", "plain")
FILE_FORMATS = ("raw", "csv", "jsonl", "parquet")


@dataclass(frozen=True)
class Argument:
    """One argument: its flags, or its name where it has none, and the keywords of argparse."""

    flags: tuple[str, ...]
    keywords: Mapping[str, Any]


@dataclass(frozen=True)
class Command:
    """One command. ``function`` is the path of what carries it out, imported when it runs."""

    name: str
    help: str
    function: str
    arguments: tuple[Argument, ...]
    description: str = ""


def _argument(*flags: str, **keywords: Any) -> Argument:
    return Argument(flags, keywords)


CONN = _argument("conn_id", metavar="CONN", help="id of the Airflow connection; its type says which system it is")
WORKFLOW = _argument("workflow", metavar="WORKFLOW", help="id of the workflow, or name:NAME where the API lists them")
RUN = _argument(
    "run", metavar="RUN", help="id of the run, a run object as JSON, @FILE that holds one, or @- for standard input"
)
OF_WORKFLOW = _argument("--workflow", metavar="WORKFLOW", help="the workflow of a bare run id, if the API needs it")
OPTION = _argument(
    "--option",
    metavar="NAME=VALUE",
    type=values.option,
    action="append",
    default=[],
    help="an option that only this system has, such as run_mode=job; the command 'systems' lists them; repeatable",
)
PARAMETER = _argument(
    "-p",
    "--parameter",
    metavar="NAME=TEXT",
    type=values.parameter,
    action="append",
    default=[],
    help="a query parameter as text, or NAME:=JSON for a number, a list and so on; repeatable",
)
PARAMETERS = _argument(
    "--parameters", metavar="FILE", help="query parameters as a JSON object or list in a file, - for standard input"
)
WAITING = (
    _argument("--wait", action="store_true", help="wait for the end of the run"),
    _argument(
        "--timeout",
        metavar="TIME",
        type=values.seconds,
        help="how long to wait, such as 90, 15m or 2h; default: no limit",
    ),
    _argument(
        "--poll-interval", metavar="TIME", type=values.seconds, help="time between two polls; default per system"
    ),
)
COMMON = (
    _argument(
        "-o",
        "--output",
        metavar="(table, json, yaml, plain)",
        choices=FORMATS,
        default="table",
        help="output format: table (default), json, yaml or plain",
    ),
    _argument("-v", "--verbose", action="store_true", help="show where an error comes from"),
)

COMMANDS = (
    Command("systems", "List the systems and what each API can do", f"{PACKAGE}.list_status.systems", COMMON),
    Command(
        "workflows",
        "List the workflows that a connection may start",
        f"{PACKAGE}.list_status.workflows",
        (CONN, *COMMON),
    ),
    Command(
        "runs",
        "List the runs of a workflow, newest first",
        f"{PACKAGE}.list_status.runs",
        (
            CONN,
            WORKFLOW,
            _argument(
                "--since",
                metavar="TIME",
                type=values.since,
                help="only runs that began since then: 2h, 7d, or 2026-01-31T08:00",
            ),
            _argument(
                "--limit",
                metavar="N",
                type=values.count,
                default=20,
                help="number of runs at most, 0 for all; default 20",
            ),
            *COMMON,
        ),
    ),
    Command(
        "orphans",
        "List the active runs that no task waits for",
        f"{PACKAGE}.orphans.orphans",
        (
            CONN,
            _argument(
                "--workflow",
                metavar="WORKFLOW",
                action="append",
                default=[],
                help="only the runs of this workflow; repeatable; default all, where the API lists workflows",
            ),
            _argument(
                "--since",
                metavar="TIME",
                type=values.since,
                help="only runs that began since then: 2h, 7d, or 2026-01-31T08:00",
            ),
            *COMMON,
        ),
        "List the active runs that no task of this Airflow waits for, where the API lists runs. It reads "
        "Airflow's metadata database.",
    ),
    Command(
        "start",
        "Start a run; --wait waits for its end",
        f"{PACKAGE}.start_cancel.start",
        (CONN, WORKFLOW, PARAMETER, PARAMETERS, OPTION, *WAITING, *COMMON),
        "Start a run. Ctrl-C ends the wait, but not the run.",
    ),
    Command(
        "status",
        "Show a run; --wait waits for its end",
        f"{PACKAGE}.list_status.status",
        (CONN, RUN, OF_WORKFLOW, OPTION, *WAITING, *COMMON),
        "Show a run. The exit code is its state: 0 succeeded, 1 failed, 3 cancelled, 4 active.",
    ),
    Command(
        "logs",
        "Show the log of a run; --follow follows it",
        f"{PACKAGE}.logs.logs",
        (
            CONN,
            RUN,
            _argument("-f", "--follow", action="store_true", help="show lines as they come, until the run has ended"),
            _argument(
                "--since", metavar="TIME", type=values.since, help="lines since then: 10m, 2h, or 2026-01-31T08:00"
            ),
            _argument(
                "--poll-interval", metavar="TIME", type=values.seconds, help="time between two requests; default 5s"
            ),
            OF_WORKFLOW,
            OPTION,
            *COMMON,
        ),
        "Show the log of a run. With --follow the exit code is the state of the run, as for status.",
    ),
    Command(
        "cancel",
        "Cancel a run",
        f"{PACKAGE}.start_cancel.cancel",
        (CONN, RUN, OF_WORKFLOW, OPTION, *WAITING, *COMMON),
        "Cancel a run. The exit code is 0 when the server has taken the request, with --wait when the run has ended.",
    ),
    Command(
        "output",
        "Download an output of a run, or list its outputs",
        f"{PACKAGE}.download.output",
        (
            CONN,
            RUN,
            _argument("name", metavar="NAME", nargs="?", help="name or index of the output; default the only one"),
            _argument(
                "--to", metavar="PATH", help="file or storage URL to write, - for standard output; without it: list"
            ),
            _argument(
                "--format",
                choices=FILE_FORMATS,
                default="raw",
                help="raw (default): bytes as they come, pages as JSON lines; or csv, jsonl, parquet",
            ),
            _argument("--force", action="store_true", help="replace an existing file"),
            OF_WORKFLOW,
            OPTION,
            *COMMON,
        ),
        "Download an output of a run. A file gets its name only when it is complete.",
    ),
    Command(
        "doctor",
        "Check a connection, one line for each check",
        f"{PACKAGE}.doctor.doctor",
        (
            CONN,
            _argument("--run", metavar="RUN", help="a run whose polls are measured"),
            OF_WORKFLOW,
            OPTION,
            *COMMON,
        ),
    ),
    Command(
        "examples",
        "Copy the example DAGs into a folder",
        f"{PACKAGE}.copying.examples",
        (
            _argument(
                "directory",
                metavar="DIR",
                help="folder to copy to, such as your DAG folder; created if it does not exist",
            ),
            _argument("--force", action="store_true", help="replace files that exist"),
            *COMMON,
        ),
        "Copy the example DAGs of this package into a folder. All of them run against the sandbox.",
    ),
)
