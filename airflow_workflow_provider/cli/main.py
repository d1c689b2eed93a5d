"""The commands as ``python -m airflow_workflow_provider …``, for every Airflow."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import NoReturn

from airflow_workflow_provider import __version__
from airflow_workflow_provider.cli.table import COMMANDS, HELP, PROGRAM


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one sentence, with exit code 2."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, and where to read more."""
        self.exit(2, f"{message}; see: {self.prog} --help\n")


def parser() -> Parser:
    """Make the parser of all commands."""
    made = Parser(prog=PROGRAM, description=f"{HELP}.")
    made.add_argument("--version", action="version", version=__version__)
    commands = made.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for command in COMMANDS:
        one = commands.add_parser(command.name, help=command.help, description=command.description or command.help)
        for argument in command.arguments:
            one.add_argument(*argument.flags, **argument.keywords)
        one.set_defaults(table_entry=command)
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command, and give its exit code."""
    options = parser().parse_args(argv)
    from airflow_workflow_provider.cli.execute import run

    return run(options.table_entry, options, PROGRAM)
