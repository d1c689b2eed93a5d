"""The commands as Airflow 3.2 and newer take them from a provider: ``airflow workflow-runs …``.

Every ``airflow`` command calls `get_cli_commands` at its start, so nothing heavy is imported here.
"""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Callable
from typing import Any

from airflow_workflow_provider.cli.table import COMMANDS, GROUP, HELP, Command


def get_cli_commands() -> list[Any]:
    """Give the group of commands; the provider's information leads here."""
    from airflow.cli.cli_config import ActionCommand, Arg, GroupCommand

    actions = [
        ActionCommand(
            name=command.name,
            help=command.help,
            description=command.description or command.help,
            func=_function(command),
            args=tuple(Arg(argument.flags, **argument.keywords) for argument in command.arguments),
        )
        for command in COMMANDS
    ]
    return [GroupCommand(name=GROUP, help=HELP, subcommands=actions)]


def _function(command: Command) -> Callable[[Namespace], None]:
    def function(options: Namespace) -> None:
        from airflow_workflow_provider.cli.execute import run

        sys.exit(run(command, options, f"airflow {GROUP}"))

    function.__name__ = command.name
    return function
