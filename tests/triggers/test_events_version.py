"""What the event trigger says where Airflow has no asset watchers."""

from __future__ import annotations

import pytest

from airflow_workflow_provider.exceptions import NotSupported
from airflow_workflow_provider.triggers.events import WorkflowRunEventTrigger
from scripts.airflow_home import AIRFLOW_3


@pytest.mark.skipif(AIRFLOW_3, reason="Airflow 3 has asset watchers")
def test_below_airflow_3_it_can_be_imported_and_says_what_it_needs():
    with pytest.raises(NotSupported, match=r"needs Airflow 3\.0 or newer.* run sensor"):
        WorkflowRunEventTrigger("stevesie", "stevesie_default", "w")
