"""What the provider can do with each version of Airflow: read by the documentation, and proven by a test on each.

A feature is there where the installed Airflow has what it needs; `make test-matrix` compares that with `since`.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass


@dataclass(frozen=True)
class Feature:
    """Something that depends on the version of Airflow.

    :param text: what a user gets.
    :param since: the first version that has it.
    :param module: the module that the provider looks into.
    :param name: what it looks for there, or an empty text for the module itself.
    :param instead: what happens on older versions.
    """

    text: str
    since: str
    module: str
    name: str
    instead: str

    def is_there(self) -> bool:
        """Look at the installed Airflow."""
        try:
            found: object = importlib.import_module(self.module)
        except ImportError:
            return False
        for part in self.name.split("."):
            annotated = getattr(found, "__annotations__", {})
            if part and not hasattr(found, part):
                return part in annotated
            found = getattr(found, part) if part else found
        return True


FEATURES = (
    Feature(
        "`WorkflowRunEventTrigger` starts DAGs when a run ends",
        "3.0",
        "airflow.triggers.base",
        "BaseEventTrigger",
        "the module cannot be imported",
    ),
    Feature(
        "`airflow workflow-runs`",
        "3.2",
        "airflow.providers_manager",
        "ProvidersManager.cli_command_functions",
        "`python -m airflow_workflow_provider`",
    ),
    Feature(
        "Asset events carry objects and lists",
        "3.1.7",
        "airflow.sdk.definitions.asset",
        "AssetAliasEvent.dest_asset_extra",
        "as JSON text on 3.0 to 3.1.6",
    ),
    Feature(
        "Every thread of a task masks secrets in the supervisor as well",
        "3.2",
        "airflow.sdk.execution_time.comms",
        "CommsDecoder._thread_lock",
        "in the task's own process on 3.0 and 3.1",
    ),
    Feature(
        "A retry always knows the run of an earlier try",
        "3.3",
        "airflow.sdk.execution_time.context",
        "TaskStateStoreAccessor",
        "if the API lists runs",
    ),
    Feature(
        "A watcher continues after a restart where it was",
        "3.3",
        "airflow.sdk.execution_time.context",
        "AssetStateStoreAccessor",
        "runs that end during the restart are missed",
    ),
    Feature(
        "Watchers of one workflow share their requests",
        "3.3",
        "airflow.triggers.shared_stream",
        "",
        "each watcher sends its own requests",
    ),
    Feature(
        "Airflow tells a trigger that its task was killed",
        "3.3",
        "airflow.triggers.base",
        "BaseTrigger.on_kill",
        "the trigger asks for the state of its task",
    ),
    Feature("`WorkflowRetryPolicy`", "3.3", "airflow.sdk.definitions.retry_policy", "", "an error when it is used"),
)
