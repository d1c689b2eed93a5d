"""The DAGs on the pages do what the pages say: each runs against the sandbox, as a reader copies it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from airflow.providers.common.compat.sdk import DAG

from airflow_workflow_provider.testing import run_dag
from airflow_workflow_provider.testing.plugin import QUICK, RUN_TIMES

DOCS = Path(__file__).parent.parent.parent / "docs"
# Pages whose DAGs run workflows of the sandbox.
PAGES = ["quickstart.md", "guides/dynamic_task_mapping.md", "guides/cancel.md"]
PAGES += [f"systems/{path.name}" for path in sorted((DOCS / "systems").glob("*.md"))]
DAGS = [
    pytest.param(code, id=f"{page}-{place}")
    for page in PAGES
    for place, code in enumerate(
        re.findall(r"^```python\n(.*?)^```$", (DOCS / page).read_text(), re.MULTILINE | re.DOTALL)
    )
    if "with DAG(" in code
]


# Airflow 2.11 reads every key of the context, deprecated ones too, when it renders `map_index_template`.
@pytest.mark.filterwarnings("ignore:Accessing .* from the template is deprecated:DeprecationWarning")
@pytest.mark.system
@pytest.mark.parametrize("code", DAGS)
def test_a_dag_of_the_pages_succeeds(code, sandbox, tmp_path, monkeypatch):
    for key, system in sandbox.app.systems.items():
        sandbox.settings(key, **{name: QUICK for name in RUN_TIMES if name in system.settings.to_json()})
    warehouse = {"conn_type": "sqlite", "host": str(tmp_path / "warehouse.db")}
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps(warehouse))
    # Airflow 2.11 loads the executor of its configuration for a sensor, and refuses it beside SQLite.
    monkeypatch.setenv("_AIRFLOW__SKIP_DATABASE_EXECUTOR_COMPATIBILITY_CHECK", "1")
    # The page writes `with DAG(…):`, which leaves no name behind.
    named = re.sub(r"^(with DAG\((?:.|\n)*?)\):$", r"\1) as dag:", code, count=1, flags=re.MULTILINE)
    namespace: dict[str, object] = {"__name__": "docs"}
    exec(compile(named, "page", "exec"), namespace)  # noqa: S102  # the pages are ours
    dag = namespace["dag"]
    assert isinstance(dag, DAG)
    ended = run_dag(dag)
    assert ended.state == "success", ended.tasks
    assert set(ended.tasks.values()) == {"success"}
    assert sandbox.runs()
