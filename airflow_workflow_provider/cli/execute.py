"""One command from its arguments to its exit code: results on standard output, all else on standard error."""

from __future__ import annotations

import logging
import os
import sys
import traceback
import warnings
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from importlib import import_module

from airflow_workflow_provider.cli import exit_codes
from airflow_workflow_provider.cli.table import Command
from airflow_workflow_provider.cli.terminal import Interrupted, Result, Terminal


def run(command: Command, options: Namespace, program: str) -> int:
    """Carry out a command; every expected mishap is a sentence and an exit code."""
    # As Airflow's own commands: connections come from the environment, a secrets backend or the metadata database.
    os.environ.setdefault("_AIRFLOW_PROCESS_CONTEXT", "server")
    terminal = Terminal(program, options.output)
    result: Result | None = None
    try:
        # Airflow logs and warns on standard output now and then, which would end up in somebody's jq.
        with redirect_stdout(sys.stderr), _quiet(options):
            _redirect_handlers(terminal)
            result = _carried_out(command, options, terminal)
        terminal.show(result)
    except BrokenPipeError:
        # Whoever reads us has had enough (`| head`); nothing may be flushed into that pipe at the end either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return result.code if result else exit_codes.DONE
    except KeyboardInterrupt:
        terminal.say("Interrupted")
        return exit_codes.INTERRUPTED
    except Exception as error:  # noqa: BLE001  # a person reads this; the traceback is there for the asking
        if options.verbose:
            traceback.print_exc()
        return _explained(error, terminal)
    return result.code


def code_of(error: BaseException) -> int:
    """Give the exit code of an error; the first kind that fits decides."""
    from airflow_workflow_provider import exceptions as errors

    kinds: tuple[tuple[type[BaseException], int], ...] = (
        (Interrupted, exit_codes.INTERRUPTED),
        (errors.RunCancelled, exit_codes.CANCELLED),
        (errors.RunTimedOut, exit_codes.GOING),
        (errors.UnknownStart, exit_codes.UNKNOWN_START),
        (errors.InvalidConnection, exit_codes.CONNECTION),
        (errors.AuthenticationFailed, exit_codes.CONNECTION),
        (errors.WorkflowNotFound, exit_codes.WRONG),
        (errors.RequestRejected, exit_codes.WRONG),
        (errors.OutputUnavailable, exit_codes.WRONG),
        (errors.NotSupported, exit_codes.WRONG),
        (errors.ServerUnavailable, exit_codes.UNAVAILABLE),
        (errors.ProtocolError, exit_codes.UNAVAILABLE),
    )
    return next((code for kind, code in kinds if isinstance(error, kind)), exit_codes.FAILED)


@contextmanager
def _quiet(options: Namespace) -> Iterator[None]:
    """Keep Airflow's own logs and deprecations from a person who did not ask for them, as its own commands do."""
    if options.verbose:
        yield
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import airflow.settings  # noqa: F401  # sets filters of its own, which ours must come after

        warnings.simplefilter("ignore")
        before = logging.root.manager.disable
        logging.disable(logging.CRITICAL)
        try:
            yield
        finally:
            logging.disable(before)


def _carried_out(command: Command, options: Namespace, terminal: Terminal) -> Result:
    module, _, name = command.function.rpartition(".")
    result: Result = getattr(import_module(module), name)(options, terminal)
    return result


def _explained(error: Exception, terminal: Terminal) -> int:
    from airflow_workflow_provider.exceptions import WorkflowError

    text = " ".join(str(error).split())
    if not isinstance(error, (WorkflowError, Interrupted)):
        text = f"Unexpected {type(error).__name__}: {text}; --verbose shows where it comes from"
    terminal.say(text)
    return code_of(error)


def _redirect_handlers(terminal: Terminal) -> None:
    """Turn log handlers that were made for standard output before we came."""
    loggers = [logging.getLogger(), *map(logging.getLogger, list(logging.root.manager.loggerDict))]
    for handler in {handler for logger in loggers for handler in logger.handlers}:
        if isinstance(handler, logging.StreamHandler) and handler.stream in (terminal.stdout, sys.__stdout__):
            handler.setStream(sys.stderr)
