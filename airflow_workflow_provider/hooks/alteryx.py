"""Hook for Alteryx Server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from airflow_workflow_provider.exceptions import InvalidArgument
from airflow_workflow_provider.hooks.workflow import WorkflowHook


class AlteryxHook(WorkflowHook):
    """Starts, watches, cancels and reads jobs of Alteryx Server's apps.

    :param alteryx_conn_id: Airflow connection with the Web API's address, an API key and its secret.
    """

    system_key = "alteryx"
    conn_name_attr = "alteryx_conn_id"
    default_conn_name = "alteryx_default"
    conn_type = "alteryx"
    hook_name = "Alteryx Server"

    def __init__(self, alteryx_conn_id: str = default_conn_name) -> None:
        super().__init__(alteryx_conn_id)
        self.alteryx_conn_id = alteryx_conn_id

    def upload_input_file(self, workflow: str, path: str | Path | Any) -> str:
        """Upload a file for a File Browse question of an app, and give the text that answers the question.

        The text is the value of the question in ``query_parameters``. The file is read into memory. The call is one of
        the API's V2; what its answer looks like, and whether V3 takes the text as an answer, is unverified.

        :param workflow: id of the app, for messages; the API does not ask for it.
        :param path: a file of this worker, or an `ObjectStoragePath`.
        :raises InvalidArgument: the file cannot be read; nothing is sent.
        """
        source: Any = path if hasattr(path, "open") else Path(path)
        try:
            with source.open("rb") as file:
                content = file.read()
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise InvalidArgument(f"path: the file {source.name!r} cannot be read: {reason}") from error
        system = cast("AlteryxSystem", self.system)
        return self._run(lambda: system.upload_input_file(str(workflow), source.name, content))


if TYPE_CHECKING:
    from airflow_workflow_provider.systems.alteryx.system import AlteryxSystem
