"""Hook for Stevesie Cloud."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast

from airflow_workflow_provider.exceptions import InvalidArgument
from airflow_workflow_provider.hooks.workflow import WorkflowHook
from airflow_workflow_provider.protocol.parameters import checked
from airflow_workflow_provider.systems.stevesie.choices import METHODS, checked_items

if TYPE_CHECKING:
    from airflow_workflow_provider.protocol.effects import Flow
    from airflow_workflow_provider.protocol.model import Workflow
    from airflow_workflow_provider.systems.stevesie import StevesieSystem


class StevesieHook(WorkflowHook):
    """Starts, watches and reads executions of Stevesie workflows, and keeps the collections that feed them.

    Its API cannot cancel an execution.

    :param stevesie_conn_id: Airflow connection with the API token.
    """

    system_key = "stevesie"
    conn_name_attr = "stevesie_conn_id"
    default_conn_name = "stevesie_default"
    conn_type = "stevesie"
    hook_name = "Stevesie Cloud"

    def __init__(self, stevesie_conn_id: str = default_conn_name) -> None:
        super().__init__(stevesie_conn_id)
        self.stevesie_conn_id = stevesie_conn_id

    def get_workflow(self, workflow: str) -> Workflow:
        """Read one workflow; ``details`` has its mappings."""
        return self._run(lambda: self._stevesie.get_workflow(workflow))

    def destroy_workflow(self, workflow: str) -> None:
        """Delete the definition of a workflow for good. It does not stop an execution."""
        self._run(lambda: self._stevesie.destroy_workflow(workflow))

    def get_collection(self, collection_id: str) -> Mapping[str, Any]:
        """Read a collection: ``id``, ``name``, ``count`` and ``items``."""
        return self._run(lambda: self._stevesie.collection(collection_id))

    def update_collection(self, collection_id: str, items: Iterable[Any], method: str = "add") -> dict[str, Any]:
        """Add items, remove items, or bring a collection to exactly these items; doing it twice changes nothing.

        Gives ``collection_id`` and the counts ``before``, ``after``, ``added``, ``removed``.
        """
        if method not in METHODS:
            raise InvalidArgument(f"method: expected one of {', '.join(METHODS)}, not {method!r}")
        if isinstance(items, str) and items.lstrip().startswith("["):
            items = checked(items, "items")  # what a template that gives a list renders to
        wanted = checked_items(items)
        return self._run(lambda: self._updated(collection_id, wanted, method))

    def _updated(self, collection_id: str, wanted: list[str], method: str) -> Flow[dict[str, Any]]:
        """Read, change the difference, read again: safe to repeat as a whole when an answer was lost."""
        present = yield from self._items(collection_id)
        lacking = [item for item in wanted if item not in set(present)] if method != "remove" else []
        surplus = {
            "add": [],
            "remove": [item for item in wanted if item in set(present)],
            "replace": [item for item in present if item not in set(wanted)],
        }[method]
        # Added before removed: a run that starts in between finds too much rather than nothing.
        if lacking:
            yield from self._stevesie.change_collection(collection_id, "add", lacking)
        if surplus:
            yield from self._stevesie.change_collection(collection_id, "remove", surplus)
        after = (yield from self._items(collection_id)) if lacking or surplus else present
        return {
            "collection_id": collection_id,
            "before": len(present),
            "after": len(after),
            "added": len(lacking),
            "removed": len(surplus),
        }

    def _items(self, collection_id: str) -> Flow[list[str]]:
        document = yield from self._stevesie.collection(collection_id)
        items = document.get("items")
        return [str(item) for item in items] if isinstance(items, list) else []

    @property
    def _stevesie(self) -> StevesieSystem:
        return cast("StevesieSystem", self.system)
