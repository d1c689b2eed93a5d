"""The ways to run workflows that every story is told of."""

from __future__ import annotations

from dataclasses import replace

from airflow_workflow_provider.exceptions import (
    AuthenticationFailed,
    InvalidArgument,
    RequestRejected,
    RunFailed,
    UnknownStart,
)
from airflow_workflow_provider.operators.alteryx import AlteryxRunWorkflowOperator
from airflow_workflow_provider.operators.carto import CartoRunWorkflowOperator
from airflow_workflow_provider.operators.chorus import ChorusRunWorkflowOperator
from airflow_workflow_provider.operators.invision import InvisionRunDataFlowOperator
from airflow_workflow_provider.operators.stevesie import StevesieRunWorkflowOperator
from airflow_workflow_provider.sensors.alteryx import AlteryxWorkflowRunSensor
from airflow_workflow_provider.sensors.carto import CartoWorkflowRunSensor
from airflow_workflow_provider.sensors.chorus import ChorusWorkflowRunSensor
from airflow_workflow_provider.sensors.invision import InvisionDataFlowRunSensor
from airflow_workflow_provider.sensors.stevesie import StevesieWorkflowRunSensor
from tests.stories import acts, facts
from tests.stories.case import NOT_FOUND, Case, Refusal, Result, Work

REFUSED = Refusal(AuthenticationFailed, "HTTP 401")
PROCEDURES = "carto-dw-ac-sandbox.workflows_temp_sandbox_5a17b0c3.wfproc_api_"
APPS = "5f0e2c0000000000000000"
STEVESIE = "5e7e51e0-0001-4000-8000-0000000000"

CARTO = Case(
    name="carto",
    system="carto",
    conn_id="carto_default",
    operator=CartoRunWorkflowOperator,
    sensor=CartoWorkflowRunSensor,
    good=Work(PROCEDURES + "307b59a91fd55ef6", {"state": "VT"}),
    result=Result(lambda: facts.airports("VT"), "jsonl"),
    bad=Work(PROCEDURES + "db2746a6ebe26e86"),
    blame="Could not convert string '00M' to INT32",
    slow=Work(PROCEDURES + "f650ed2651e4b999", {"seconds": 30}),
    missing=PROCEDURES + "0000000000000000",
    start="/job$",
    poll="/job/",
    quick={"pending_seconds": 0.0, "running_seconds": 0.03},
    slower="running_seconds",
    unknown_workflow=Refusal(RunFailed, "Not found: Procedure", started=1),
    unknown_parameter=Refusal(InvalidArgument, "has no parameter 'nonsense'; it has: "),
    wrong_secret=REFUSED,
    login="/oauth/token",
    renewing_conn_id="carto_oauth",
    expire=acts.end_carto_tokens,
    revoke=lambda server: server.settings("carto", revoked_tokens=["sandbox-carto-token"]),
    cancels=True,
)
ALTERYX_OAUTH2 = Case(
    name="alteryx-oauth2",
    system="alteryx",
    conn_id="alteryx_default",
    operator=AlteryxRunWorkflowOperator,
    sensor=AlteryxWorkflowRunSensor,
    good=Work(APPS + "04", {"State": "VT"}),
    result=Result(lambda: facts.airports("VT"), "csv", ("airports.yxdb",)),
    bad=Work(APPS + "09", {"Message": "The disk of worker 3 is full."}),
    blame="The disk of worker 3 is full. (tool 12)",
    slow=Work(APPS + "0a", {"Seconds": 30}),
    missing=APPS + "ff",
    start="/jobs$",
    poll="/v3/jobs/[^/]+$",
    quick={"queued_seconds": 0.0, "running_seconds": 0.03},
    slower="running_seconds",
    unknown_workflow=NOT_FOUND,
    unknown_parameter=Refusal(InvalidArgument, "has no question 'nonsense'"),
    wrong_secret=Refusal(AuthenticationFailed, "Check the fields 'login' and 'password'"),
    login="/oauth2/token",
    expire=acts.end_alteryx_tokens,
    revoke=acts.revoke_alteryx_keys,
    cancels=True,
    adopts=True,
    secrets=("login", "password"),
)
ALTERYX_OAUTH1 = replace(
    ALTERYX_OAUTH2,
    name="alteryx-oauth1",
    conn_id="alteryx_oauth1",
    start="/jobs/?$",
    poll="/api/v1/jobs/[^/]+/?$",
    wrong_secret=REFUSED,
    login="",
    expire=None,
    revoke=lambda server: server.settings("alteryx", keys_revoked=True),
    cancels=False,
)
STEVESIE_CLOUD = Case(
    name="stevesie",
    system="stevesie",
    conn_id="stevesie_default",
    operator=StevesieRunWorkflowOperator,
    sensor=StevesieWorkflowRunSensor,
    good=Work(STEVESIE + "01", {"symbol": ["AAPL", "IBM"], "min_timestamp": 1230768000, "max_timestamp": 1262304000}),
    result=Result(
        lambda: [
            {f"results.{name}": value for name, value in row.items()}
            for row in facts.stock_prices(["AAPL", "IBM"], 2009)
        ],
        "csv",
        ("results.csv",),
    ),
    bad=Work(STEVESIE + "08"),
    blame="The proxy is not running",
    slow=Work(STEVESIE + "06", {"seconds": 30}),
    missing=STEVESIE + "ff",
    start="/executions$",
    poll="/workflows/executions/",
    quick={"running_seconds": 0.03, "failure_style": "error"},
    slower="running_seconds",
    unknown_workflow=NOT_FOUND,
    unknown_parameter=None,
    wrong_secret=REFUSED,
    revoke=lambda server: server.settings("stevesie", token_revoked=True),
    adopts=True,
)
CHORUS_ENGINE = Case(
    name="chorus-engine",
    system="chorus",
    conn_id="chorus_default",
    operator=ChorusRunWorkflowOperator,
    sensor=ChorusWorkflowRunSensor,
    good=Work("1000004", {"weather": "'snow'", "min_temp": -10, "marker": "'a story'"}),
    result=Result(
        lambda: facts.weather_days("snow", marker="a story"),
        "csv",
        ("Row Filter", "Monthly Means"),
        "table:weather_days",
    ),
    bad=Work("1000008"),
    blame="Variable: Conversion Error: Could not convert string 'drizzle' to INT32",
    slow=Work("1000007"),
    missing="1999999",
    start="/run$",
    poll="/query$",
    quick={
        "node_seconds": 0.02,
        "result_seconds": 0.0,
        "enqueued_seconds": 0.0,
        "notice_seconds": 0.0,
        "stopping_seconds": 0.1,
    },
    slower="node_seconds",
    unknown_workflow=NOT_FOUND,
    unknown_parameter=Refusal(RequestRejected, "unknown variable: @nonsense"),
    wrong_secret=REFUSED,
    login="/sessions$",
    expire=acts.end_chorus_sessions,
    revoke=acts.refuse_chorus_logins,
    cancels=True,
    secrets=("login", "password"),
)
NO_VARIABLES = Refusal(InvalidArgument, "query_parameters: run_mode '.*' takes none")
CHORUS_JOB = replace(
    CHORUS_ENGINE,
    name="chorus-job",
    options={"run_mode": "job"},
    good=Work("1000001"),
    result=replace(CHORUS_ENGINE.result, rows=lambda: facts.weather_days("rain", marker="")),
    bad=Work("1000003"),
    blame="Run failing: Conversion Error: Could not convert string 'drizzle' to INT32",
    slow=Work("1000004"),
    start="/jobs/[0-9]+/run$",
    poll="/job_results/latest$",
    unknown_parameter=NO_VARIABLES,
    restart=Refusal(RequestRejected, "NOT_RUNNABLE", started=1),
    mine=acts.is_job,
)
CHORUS_WORKFILE = replace(
    CHORUS_JOB,
    name="chorus-workfile",
    options={"run_mode": "workfile"},
    good=Work("1000004"),
    bad=Work("1000008"),
    blame=CHORUS_ENGINE.blame,
    slow=Work("1000007"),
    start="/workfiles/[0-9]+/run$",
    poll="/workfiles/[0-9]+$",
    restart=Refusal(RequestRejected, "only an idle one can be watched", started=1),
    mine=lambda run: True,
)
INVISION_DATAFLOW = Case(
    name="invision-dataflow",
    system="invision",
    conn_id="invision_default",
    operator=InvisionRunDataFlowOperator,
    sensor=InvisionDataFlowRunSensor,
    good=Work("2f0c0001-3b1e-4c55-9a10-0d5eed000001", {"sector": "manufacturing", "fromMonth": "2009-01-01"}),
    result=Result(
        lambda: facts.employment("manufacturing", "2009-01-01"),
        "json",
        output='Employment by Sector?q={RunId == "{run_id}"}',
        run_id="RunId",
    ),
    bad=Work("2f0c0005-3b1e-4c55-9a10-0d5eed000005"),
    blame="failed: Conversion Error: Could not convert string 'MSFT' to DOUBLE",
    slow=Work("2f0c0004-3b1e-4c55-9a10-0d5eed000004", {"seconds": 30}),
    missing="2f0c00ff-3b1e-4c55-9a10-0d5eed0000ff",
    start="/start$",
    poll="/status$",
    quick={"pending_seconds": 0.0, "running_seconds": 0.03},
    slower="running_seconds",
    # The vendor documents 500 for whatever is wrong, so nobody can tell what a 500 stands for.
    unknown_workflow=Refusal(UnknownStart, "HTTP 500"),
    unknown_parameter=None,
    wrong_secret=Refusal(UnknownStart, "HTTP 500"),
)
INVISION_FLOW = replace(
    INVISION_DATAFLOW,
    name="invision-flow",
    options={"workflow_api": "flow"},
    good=replace(INVISION_DATAFLOW.good, workflow="6e1f0001-8d2a-4b7c-b6f4-0d5eed000001"),
    result=replace(INVISION_DATAFLOW.result, output='table:Fact_Employment?q={RunId == "{run_id}"}'),
    bad=Work("6e1f0005-8d2a-4b7c-b6f4-0d5eed000005"),
    slow=replace(INVISION_DATAFLOW.slow, workflow="6e1f0004-8d2a-4b7c-b6f4-0d5eed000004"),
    start="/submit$",
    poll="/poll$",
    unknown_workflow=NOT_FOUND,
    wrong_secret=REFUSED,
    adopts=True,
    secrets=("flow_api_key",),
)
CASES = (
    CARTO,
    ALTERYX_OAUTH2,
    ALTERYX_OAUTH1,
    STEVESIE_CLOUD,
    CHORUS_ENGINE,
    CHORUS_JOB,
    CHORUS_WORKFILE,
    INVISION_DATAFLOW,
    INVISION_FLOW,
)
