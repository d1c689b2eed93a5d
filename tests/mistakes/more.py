"""More typical mistakes: arguments of transfers, sensors, triggers and logs, and templates that find no value."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from airflow_workflow_provider.operators.alteryx import AlteryxRunWorkflowOperator
from airflow_workflow_provider.operators.chorus import ChorusRunWorkflowOperator
from airflow_workflow_provider.operators.invision import InvisionRunDataFlowOperator
from airflow_workflow_provider.operators.stevesie import StevesieRunWorkflowOperator, StevesieUpdateCollectionOperator
from airflow_workflow_provider.operators.workflow import CancelWorkflowRunOperator, RunWorkflowOperator
from airflow_workflow_provider.sensors.carto import CartoWorkflowRunSensor
from airflow_workflow_provider.sensors.invision import InvisionDataFlowRunSensor
from airflow_workflow_provider.sensors.workflow import WorkflowRunSensor
from airflow_workflow_provider.transfers.workflow_to_object_storage import (
    WorkflowOutputToObjectStorageOperator as ToFile,
)
from airflow_workflow_provider.triggers.events import WorkflowRunEventTrigger
from tests.mistakes.cases import QUICK, carto, sql

MORE: dict[str, Callable[[], Any]] = {}
EMPLOYMENT = "2f0c0001-3b1e-4c55-9a10-0d5eed000001"


def case(function: Callable[[], Any]) -> Callable[[], Any]:
    """Register a mistake."""
    MORE[function.__name__] = function
    return function


def alteryx(**changes: Any) -> Any:
    """An Alteryx run that is right but for these arguments."""
    arguments = {
        "task_id": "run",
        "workflow": "name:Stock prices",
        "query_parameters": {"Symbol": "IBM"},
        "poll_interval": QUICK,
    }
    return AlteryxRunWorkflowOperator(**{**arguments, **changes})


def stevesie(**changes: Any) -> Any:
    """A Stevesie run that is right but for these arguments."""
    arguments = {
        "task_id": "run",
        "workflow": "name:Stock prices",
        "query_parameters": {"symbol": "IBM"},
        "poll_interval": QUICK,
    }
    return StevesieRunWorkflowOperator(**{**arguments, **changes})


def csv(run: Any, **changes: Any) -> Any:
    """A file that is right but for these arguments."""
    return ToFile(
        **{"task_id": "write", "run": run, "path": str(Path("out.csv").resolve()), "format": "csv", **changes}
    )


@case
def n01_system_of_no_package():
    RunWorkflowOperator(task_id="run", system="acme", workflow="x")


@case
def n02_system_typo():
    RunWorkflowOperator(task_id="run", system="Carto", workflow="x")


@case
def n03_start_option_of_another_system():
    RunWorkflowOperator(task_id="run", system="carto", workflow="x", start_options={"priority": "High"})


@case
def n04_start_options_as_text():
    RunWorkflowOperator(task_id="run", system="alteryx", workflow="name:Stock prices", start_options="priority=High")


@case
def n05_workflow_none_text():
    carto(workflow="{{ params.nothing or None }}", params={"nothing": None})


@case
def n06_workflow_empty():
    alteryx(workflow="{{ '' }}")


@case
def n07_workflow_number():
    ChorusRunWorkflowOperator(task_id="run", workflow=1000004.5, poll_interval=QUICK)


@case
def n08_timeout_text_none():
    carto(timeout="{{ none }}")


@case
def n09_timeout_text_with_unit():
    carto(timeout="2h")


@case
def n10_parameter_types_of_a_list():
    carto(parameter_types=["string"])


@case
def n12_run_text_none():
    sql("{{ none }}")


@case
def n14_run_list_of_ids():
    sql(["a", "b"])


@case
def n15_run_dict_of_another_kind():
    sql({"job": 1})


@case
def n16_sensor_run_empty():
    CartoWorkflowRunSensor(task_id="wait", run="{{ '' }}", poke_interval=QUICK, timeout=5)


@case
def n17_sensor_run_id_text_none():
    CartoWorkflowRunSensor(task_id="wait", run_id="{{ none }}", poke_interval=QUICK, timeout=5)


@case
def n18_sensor_without_system():
    WorkflowRunSensor(task_id="wait", run_id="7", poke_interval=QUICK, timeout=5)


@case
def n19_sensor_invision_without_workflow():
    InvisionDataFlowRunSensor(task_id="wait", run_id="7", poke_interval=QUICK, timeout=5)


@case
def n20_sensor_timeout_negative():
    CartoWorkflowRunSensor(task_id="wait", run_id="7", poke_interval=QUICK, timeout=-1)


@case
def n21_sensor_unknown_run():
    CartoWorkflowRunSensor(task_id="wait", run_id="no-such-job", poke_interval=QUICK, timeout=20)


@case
def n22_cancel_bare_id():
    CancelWorkflowRunOperator(task_id="cancel", run="job_1")


@case
def n23_cancel_unknown_run():
    CancelWorkflowRunOperator(task_id="cancel", run="job_1", system="carto")


@case
def n24_expect_unknown_check():
    sql(carto().output, expect={"min_row": 1})


@case
def n25_expect_too_few_rows():
    sql(carto().output, expect={"min_rows": 1_000_000})


@case
def n26_expect_share_as_percent():
    sql(carto().output, expect={"max_shrink": 50})


@case
def n27_expect_unknown_column():
    sql(carto().output, expect={"not_null": ["nme"]})


@case
def n28_expect_text():
    sql(carto().output, expect="min_rows=1")


@case
def n29_add_columns_unknown_fact():
    sql(carto().output, add_columns={"run": "{runid}"})


@case
def n30_add_columns_existing():
    sql(carto().output, add_columns={"iata": "{run_id}"})


@case
def n31_add_columns_unknown_parameter():
    sql(carto().output, add_columns={"s": "{parameters.stat}"})


@case
def n32_csv_options_unknown_key():
    sql(alteryx().output, csv_options={"separator": ";"})


@case
def n33_csv_options_encoding():
    sql(alteryx().output, csv_options={"encoding": "ansi"})


@case
def n34_csv_options_delimiter():
    sql(alteryx().output, csv_options={"delimiter": "||"})


@case
def n35_csv_options_delimiter_of_another_file():
    sql(alteryx().output, csv_options={"delimiter": ";"}, columns=["symbol"])


@case
def n36_partition_by_unknown_column():
    ToFile(task_id="write", run=carto().output, path=str(Path("folder").resolve()), partition_by=["stat"])


@case
def n37_partition_by_raw():
    ToFile(
        task_id="write", run=carto().output, path=str(Path("folder").resolve()), partition_by=["state"], format="raw"
    )


@case
def n38_partition_by_all_columns():
    ToFile(
        task_id="write",
        run=carto().output,
        path=str(Path("folder").resolve()),
        columns=["state"],
        partition_by=["state"],
    )


@case
def n39_on_new_column_typo():
    sql(carto().output, on_new_column="append")


@case
def n40_on_missing_column_fail():
    sql(carto().output, table="airports", if_exists="append", on_missing_column="fail", columns=["iata"])


@case
def n41_new_column():
    sql(carto().output, table="narrow", if_exists="append")


@case
def n42_load_method_typo():
    sql(carto().output, load_method="copy")


@case
def n43_load_method_in_database():
    sql(carto().output, load_method="in_database")


@case
def n44_lock_timeout_text():
    sql(carto().output, lock_timeout="ten minutes")


@case
def n46_key_columns_unknown():
    sql(carto().output, if_exists="upsert", key_columns=["id"])


@case
def n48_replace_where_without_where():
    sql(carto().output, if_exists="replace_where")


@case
def n49_column_types_unknown():
    sql(carto().output, column_types={"iata": "varchar"})


@case
def n50_column_types_unknown_column():
    sql(carto().output, column_types={"itaa": "string"})


@case
def n51_columns_twice():
    sql(carto().output, columns={"iata": "x", "name": "x"})


@case
def n52_output_index():
    sql(alteryx().output, output_name=3)


@case
def n53_compression_of_another_format():
    csv(carto().output, compression="snappy")


@case
def n54_placeholder_typo():
    csv(carto().output, path=str(Path("{runid}.csv").resolve()))


@case
def n55_table_placeholder_typo():
    sql(carto().output, table="t_{run}")


@case
def n56_storage_conn_undefined():
    csv(carto().output, path="gs://bucket/x.csv", storage_conn_id="gcs")


@case
def n58_log_interval_zero():
    carto(log_interval=0)


@case
def n59_event_trigger_state():
    WorkflowRunEventTrigger("stevesie", "stevesie_default", "name:Stock prices", states=["completed"])


@case
def n60_event_trigger_since():
    WorkflowRunEventTrigger("stevesie", "stevesie_default", "name:Stock prices", since="yesterday")


@case
def n61_collection_items_text():
    StevesieUpdateCollectionOperator(task_id="set", collection_id="5e7e51e0-0003-4000-8000-000000000002", items="2013")


@case
def n62_collection_method():
    StevesieUpdateCollectionOperator(
        task_id="set", collection_id="5e7e51e0-0003-4000-8000-000000000002", items=["2013"], method="set"
    )


@case
def n63_collection_unknown():
    StevesieUpdateCollectionOperator(task_id="set", collection_id="5e7e51e0-dead", items=["2013"])


@case
def n64_maximum_requests_text():
    stevesie(maximum_requests_count="many")


@case
def n65_proxy_with_address():
    stevesie(proxy={"type": "custom", "url": "http://user:pw@proxy:1"})


@case
def n66_flow_without_fields():
    InvisionRunDataFlowOperator(
        task_id="run", workflow=EMPLOYMENT, workflow_api="flow", invision_conn_id="invision_bare", poll_interval=QUICK
    )


@case
def n67_invision_output_without_key():
    run = InvisionRunDataFlowOperator(
        task_id="run",
        workflow=EMPLOYMENT,
        query_parameters={"sector": "manufacturing", "fromMonth": "2009-01-01"},
        invision_conn_id="invision_bare",
        poll_interval=QUICK,
    )
    sql(run.output, output_name="table:Fact_Employment")


@case
def n68_chorus_variables_of_a_job():
    ChorusRunWorkflowOperator(
        task_id="run", workflow="1000002", run_mode="job", query_parameters={"x": "1"}, poll_interval=QUICK
    )


@case
def n69_extra_verify_text():
    carto(carto_conn_id="carto_verify")


@case
def n70_extra_warehouse():
    carto(carto_conn_id="carto_warehouse")


@case
def n71_extra_proxies():
    carto(carto_conn_id="carto_proxies")


@case
def n73_host_with_query():
    carto(carto_conn_id="carto_query")


@case
def n74_query_parameters_text_none():
    carto(query_parameters="{{ none }}")


@case
def n75_query_parameters_json_broken():
    carto(query_parameters='{"state": TX}')


@case
def n76_query_parameters_callable_returns_none():
    carto(query_parameters=lambda context, jinja_env: None)


@case
def n78_query_parameters_object():
    carto(query_parameters={"state": object()})


@case
def n79_asset_alias_empty():
    carto(asset_alias=" ")


@case
def n80_two_outputs():
    run = alteryx(workflow="name:Weather report", query_parameters={"Year": "2015"})
    sql(run.output)


def connections(sandbox: dict[str, dict[str, Any]]) -> dict[str, str]:
    """The environment of these cases: wrong variants of the sandbox's connections."""
    good, invision = sandbox["carto_default"], sandbox["invision_default"]
    extra = good.get("extra") or {}
    given: dict[str, Any] = {
        "carto_verify": {**good, "extra": {**extra, "verify": "/nowhere/ca.pem"}},
        "carto_warehouse": {**good, "extra": {**extra, "warehouse": "big query"}},
        "carto_proxies": {**good, "extra": {**extra, "proxies": "proxy:3128"}},
        "carto_newline": {**good, "password": "token\n"},
        "carto_query": {**good, "host": good["host"] + "?key=1"},
        "invision_bare": {**invision, "extra": {}},
    }
    return {f"AIRFLOW_CONN_{name.upper()}": json.dumps(values) for name, values in given.items()}
