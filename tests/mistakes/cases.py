"""Typical mistakes of a new user: each builds one or two tasks, which go wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from airflow_workflow_provider.operators.alteryx import AlteryxRunWorkflowOperator
from airflow_workflow_provider.operators.carto import CartoRunWorkflowOperator
from airflow_workflow_provider.operators.chorus import ChorusRunWorkflowOperator
from airflow_workflow_provider.operators.invision import InvisionRunDataFlowOperator
from airflow_workflow_provider.operators.stevesie import StevesieRunWorkflowOperator
from airflow_workflow_provider.operators.workflow import CancelWorkflowRunOperator
from airflow_workflow_provider.sensors.carto import CartoWorkflowRunSensor
from airflow_workflow_provider.sensors.chorus import ChorusWorkflowRunSensor
from airflow_workflow_provider.sensors.stevesie import StevesieWorkflowRunSensor
from airflow_workflow_provider.transfers.workflow_to_object_storage import (
    WorkflowOutputToObjectStorageOperator as ToFile,
)
from airflow_workflow_provider.transfers.workflow_to_sql import WorkflowOutputToSqlOperator as ToSql
from airflow_workflow_provider.triggers.events import WorkflowRunEventTrigger

BY_STATE = "carto-dw-ac-sandbox.workflows_temp_sandbox_5a17b0c3.wfproc_api_a07f782a8f13e8a8"
IN_STATE = "carto-dw-ac-sandbox.workflows_temp_sandbox_5a17b0c3.wfproc_api_307b59a91fd55ef6"
CALL = f"CALL `{IN_STATE}`(@state)"

QUICK = 0.05
CASES: dict[str, Callable[[], Any]] = {}


def case(function: Callable[[], Any]) -> Callable[[], Any]:
    """Register a mistake."""
    CASES[function.__name__] = function
    return function


def connections(sandbox: dict[str, dict[str, Any]], base: str, folder: Path) -> dict[str, str]:
    """The environment of the cases: the sandbox's connections, and wrong variants of them."""
    good, alteryx, stevesie = (sandbox[f"{key}_default"] for key in ("carto", "alteryx", "stevesie"))
    chorus, invision, extra = sandbox["chorus_default"], sandbox["invision_default"], good.get("extra") or {}
    given: dict[str, Any] = {
        **sandbox,
        "warehouse": {"conn_type": "sqlite", "host": str(folder / "warehouse.db")},
        "carto_wrong_host": {**good, "host": "http://127.0.0.1:9/carto"},
        "carto_nohost": {**good, "host": "https://gcp-us-east1.api.carto.invalid"},
        "carto_noscheme": {**good, "host": base.split("//")[1] + "/carto"},
        "carto_badtoken": {**good, "password": "wrong-token"},
        "carto_empty": {"conn_type": "carto"},
        "carto_plainhttp": {**good, "host": "http://carto.example.com"},
        "carto_wrongpath": {**good, "host": base},
        "an_http": {"conn_type": "http", "host": "http://127.0.0.1"},
        "carto_badextra": {
            "conn_type": "carto",
            "host": base + "/carto",
            "password": "x",
            "extra": '{"carto_connection": ',
        },
        "carto_badtimeout": {**good, "extra": {**extra, "timeout": "fast"}},
        "carto_typo_extra": {**good, "extra": {**extra, "carto_conection": "x"}},
        "mysql_missing": {"conn_type": "mysql", "host": "127.0.0.1", "login": "x"},
        "alteryx_badkey": {**alteryx, "password": "nope"},
        "alteryx_no_webapi": {**alteryx, "host": base + "/alteryx"},
        "stevesie_badtoken": {**stevesie, "password": "nope"},
        "chorus_badpw": {**chorus, "password": "nope"},
        "invision_badkey": {**invision, "password": "nope"},
    }
    return {f"AIRFLOW_CONN_{name.upper()}": json.dumps(values) for name, values in given.items()}


def carto(**changes: Any) -> Any:
    """A CARTO run that is right but for these arguments."""
    arguments = {"task_id": "run", "workflow": CALL, "query_parameters": {"state": "TX"}, "poll_interval": QUICK}
    return CartoRunWorkflowOperator(**{**arguments, **changes})


def sql(run: Any, **changes: Any) -> Any:
    """A load that is right but for these arguments."""
    arguments = {"task_id": "load", "run": run, "sql_conn_id": "warehouse", "table": "t", "if_exists": "replace"}
    return ToSql(**{**arguments, **changes})


@case
def m01_wrong_conn_id():
    carto(carto_conn_id="cart_default")


@case
def m02_wrong_host_refused():
    carto(carto_conn_id="carto_wrong_host")


@case
def m02b_host_unresolvable():
    carto(carto_conn_id="carto_nohost")


@case
def m02c_host_without_path():
    carto(carto_conn_id="carto_wrongpath")


@case
def m03_missing_scheme():
    carto(carto_conn_id="carto_noscheme")


@case
def m04_wrong_token_carto():
    carto(carto_conn_id="carto_badtoken")


@case
def m04b_wrong_key_alteryx():
    AlteryxRunWorkflowOperator(task_id="run", workflow="name:Stock prices", alteryx_conn_id="alteryx_badkey")


@case
def m04c_wrong_token_stevesie():
    StevesieRunWorkflowOperator(task_id="run", workflow="name:Stock prices", stevesie_conn_id="stevesie_badtoken")


@case
def m04d_wrong_password_chorus():
    ChorusRunWorkflowOperator(task_id="run", workflow="1000004", chorus_conn_id="chorus_badpw")


@case
def m04e_wrong_key_invision():
    InvisionRunDataFlowOperator(
        task_id="run", workflow="2f0c0001-3b1e-4c55-9a10-0d5eed000001", invision_conn_id="invision_badkey"
    )


@case
def m04f_alteryx_host_without_webapi():
    AlteryxRunWorkflowOperator(task_id="run", workflow="name:Stock prices", alteryx_conn_id="alteryx_no_webapi")


@case
def m05_typo_param_carto_call():
    carto(query_parameters={"stat": "TX"})


@case
def m05b_typo_param_carto_proc():
    carto(workflow=IN_STATE, query_parameters={"stat": "TX"})


@case
def m05c_typo_param_alteryx():
    AlteryxRunWorkflowOperator(task_id="run", workflow="name:Stock prices", query_parameters={"Symbl": "IBM"})


@case
def m05d_typo_param_stevesie():
    StevesieRunWorkflowOperator(
        task_id="run", workflow="name:Stock prices", query_parameters={"symbl": "IBM"}, poll_interval=QUICK
    )


@case
def m05e_typo_param_chorus():
    ChorusRunWorkflowOperator(
        task_id="run", workflow="1000004", query_parameters={"wether": "'snow'"}, poll_interval=QUICK
    )


@case
def m05f_typo_param_invision():
    InvisionRunDataFlowOperator(
        task_id="run",
        workflow="2f0c0001-3b1e-4c55-9a10-0d5eed000001",
        query_parameters={"sectr": "x"},
        poll_interval=QUICK,
    )


@case
def m06_workflow_not_found_carto():
    carto(workflow=IN_STATE + "x")


@case
def m06b_not_found_alteryx():
    AlteryxRunWorkflowOperator(task_id="run", workflow="name:Stock price")


@case
def m06c_not_found_stevesie():
    StevesieRunWorkflowOperator(task_id="run", workflow="5e7e51e0-dead")


@case
def m06d_not_found_chorus():
    ChorusRunWorkflowOperator(task_id="run", workflow="99", poll_interval=QUICK)


@case
def m06e_not_found_invision():
    InvisionRunDataFlowOperator(task_id="run", workflow="00000000-3b1e-4c55-9a10-0d5eed000001")


@case
def m06f_name_on_carto():
    carto(workflow="name:airports_in_state")


@case
def m07_wrong_param_type():
    carto(workflow=BY_STATE, query_parameters={"min_airports": "{{ 50 }}"})


@case
def m07b_params_list_for_alteryx():
    AlteryxRunWorkflowOperator(task_id="run", workflow="name:Stock prices", query_parameters=["IBM"])


@case
def m07c_parameter_types_typo():
    carto(workflow=BY_STATE, query_parameters={"min_airports": "50"}, parameter_types={"min_airports": "int"})


@case
def m07d_parameter_types_bad_value():
    carto(workflow=BY_STATE, query_parameters={"min_airports": "fifty"}, parameter_types={"min_airports": "int64"})


@case
def m09_nested_list():
    r = carto()
    sql([r.output])


@case
def m09b_expand_replace():
    r = CartoRunWorkflowOperator.partial(task_id="run", workflow=CALL, poll_interval=QUICK).expand(
        query_parameters=[{"state": "TX"}, {"state": "AK"}]
    )
    ToSql.partial(task_id="load", sql_conn_id="warehouse", table="clobbered", if_exists="replace").expand(run=r.output)


@case
def m09c_query_parameters_list_not_expanded():
    carto(query_parameters=[{"state": "TX"}, {"state": "AK"}])


@case
def m10_wrong_table_statement():
    r = carto()
    sql(r.output, table="SELECT 1")


@case
def m10b_wrong_schema():
    r = carto()
    sql(r.output, table="nope.t")


@case
def m10c_table_exists_default():
    r = carto()
    ToSql(task_id="load", run=r.output, sql_conn_id="warehouse", table="airports")


@case
def m11_missing_extra_yxdb():
    r = AlteryxRunWorkflowOperator(task_id="run", workflow="name:Airports", poll_interval=QUICK)
    sql(r.output, output_name="*")


@case
def m12_wrong_output_name():
    r = AlteryxRunWorkflowOperator(
        task_id="run", workflow="name:Stock prices", query_parameters={"Symbol": "IBM"}, poll_interval=QUICK
    )
    sql(r.output, output_name="prices.csv")


@case
def m12b_wrong_output_name_chorus():
    r = ChorusRunWorkflowOperator(task_id="run", workflow="1000002", run_mode="job", poll_interval=QUICK)
    sql(r.output, output_name="Numbrs")


@case
def m12c_no_output_name_invision():
    r = InvisionRunDataFlowOperator(
        task_id="run",
        workflow="2f0c0001-3b1e-4c55-9a10-0d5eed000001",
        query_parameters={"sector": "manufacturing", "fromMonth": "2009-01-01"},
        poll_interval=QUICK,
    )
    sql(r.output)


@case
def m13_missing_sql_provider():
    r = carto()
    sql(r.output, sql_conn_id="mysql_missing")


@case
def m13b_sql_conn_not_sql():
    r = carto()
    sql(r.output, sql_conn_id="an_http")


@case
def m13c_sql_conn_undefined():
    r = carto()
    sql(r.output, sql_conn_id="warehose")


@case
def m14_bad_poll_interval_text():
    carto(poll_interval="fast")


@case
def m14b_bad_poll_interval_negative():
    carto(poll_interval=-1)


@case
def m14c_poll_interval_text_minutes():
    carto(poll_interval="1m")


@case
def m15_timeout_zero():
    carto(timeout=0)


@case
def m15b_timeout_tiny():
    carto(timeout=1)


@case
def m16_run_none():
    sql(None)


@case
def m16b_run_empty_string():
    sql("")


@case
def m16c_cancel_none():
    CancelWorkflowRunOperator(task_id="cancel", run=None)


@case
def m17_run_of_another_system():
    r = carto(wait_for_completion=False)
    StevesieWorkflowRunSensor(task_id="wait", run=r.output, poke_interval=QUICK, timeout=20)


@case
def m18_run_id_without_system():
    r = carto()
    sql(r.output["run_id"])


@case
def m18b_return_value_field():
    carto() >> sql("{{ ti.xcom_pull(task_ids='run')['run_id'] }}")


@case
def m19_sensor_without_run():
    CartoWorkflowRunSensor(task_id="wait", poke_interval=QUICK, timeout=5)


@case
def m19b_sensor_both():
    CartoWorkflowRunSensor(task_id="wait", run="x", run_id="y", poke_interval=QUICK, timeout=5)


@case
def m19c_chorus_bare_id_without_workflow():
    ChorusWorkflowRunSensor(task_id="wait", run_id="abc", poke_interval=QUICK, timeout=5)


@case
def m20_plain_http():
    carto(carto_conn_id="carto_plainhttp")


@case
def m20b_connection_empty():
    carto(carto_conn_id="carto_empty")


@case
def m20c_bad_extra_json():
    carto(carto_conn_id="carto_badextra")


@case
def m20d_bad_timeout_in_extra():
    carto(carto_conn_id="carto_badtimeout")


@case
def m20e_typo_in_extra_key():
    carto(carto_conn_id="carto_typo_extra")


@case
def m21_wrong_conn_type():
    carto(carto_conn_id="an_http")


@case
def m21b_other_system_conn():
    carto(carto_conn_id="stevesie_default")


@case
def m22_upsert_without_keys():
    r = carto()
    sql(r.output, if_exists="upsert")


@case
def m22b_if_exists_typo():
    r = carto()
    sql(r.output, if_exists="overwrite")


@case
def m22c_where_unknown_column():
    r = carto()
    sql(r.output, table="airports", if_exists="replace_where", where="day = '2026-01-01'")


@case
def m25_on_run_failure_typo():
    carto(on_run_failure="ignore")


@case
def m26_output_of_running_run():
    r = carto(wait_for_completion=False)
    sql(r.output)


@case
def m27_kwarg_typo():
    carto(poll_intervall=1)


@case
def m28_priority():
    AlteryxRunWorkflowOperator(
        task_id="run", workflow="name:Stock prices", query_parameters={"Symbol": "IBM"}, priority="Urgent"
    )


@case
def m29_run_mode():
    ChorusRunWorkflowOperator(task_id="run", workflow="1000002", run_mode="Job")


@case
def m30_file_exists():
    Path("exists.csv").write_text("x")
    r = carto()
    ToFile(task_id="write", run=r.output, path=str(Path("exists.csv").resolve()), format="csv")


@case
def m31_s3_without_provider():
    r = carto()
    ToFile(task_id="write", run=r.output, path="s3://bucket/x.csv", format="csv")


@case
def m31b_xlsx():
    r = carto()
    ToFile(task_id="write", run=r.output, path=str(Path("x.xlsx").resolve()), format="xlsx")


@case
def m31c_folder():
    r = carto()
    ToFile(task_id="write", run=r.output, path=str(Path.cwd()) + "/")


@case
def m32_event_trigger_carto():
    WorkflowRunEventTrigger("carto", "carto_default", IN_STATE)


@case
def m33_cancel_stevesie():
    r = StevesieRunWorkflowOperator(
        task_id="run", workflow="name:Stock prices", query_parameters={"symbol": "IBM"}, wait_for_completion=False
    )
    CancelWorkflowRunOperator(task_id="cancel", run=r.output)


@case
def m34_no_params():
    carto(query_parameters=None)


@case
def m35_string_params():
    carto(query_parameters="state=TX")


@case
def m36_columns_unknown():
    r = carto()
    sql(r.output, columns=["iata", "nme"])


@case
def m37_column_type_bad():
    r = carto()
    sql(r.output, column_types={"iata": "int64"})
