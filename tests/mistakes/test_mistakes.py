"""Typical mistakes: what the user sees first names the field and what to do, and nothing is started for nothing."""

from __future__ import annotations

import contextlib
import re
import sqlite3

import pytest

from airflow_workflow_provider.testing.plugin import RUN_TIMES
from tests.mistakes import more
from tests.mistakes.cases import CASES, QUICK, connections
from tests.mistakes.playing import seen

# The mistake: the errors that may come, what the first line says of the field, what it says of the remedy, and the runs
# that are started. A run in a mistake about a transfer, a sensor or a cancellation belongs to the task before it.
TABLE = {
    "m01_wrong_conn_id": ("InvalidConnection", "cart_default", "is not defined", 0),
    "m02_wrong_host_refused": ("ServerUnavailable", "'carto_wrong_host'", "Check the field 'host'", 0),
    "m02b_host_unresolvable": ("ServerUnavailable", "'carto_nohost'", "Check the field 'host'", 0),
    "m02c_host_without_path": ("WorkflowNotFound|InvalidConnection", "'carto_wrongpath'", "check the field 'host'", 0),
    "m03_missing_scheme": ("ServerUnavailable", "'carto_noscheme'", "Check the field 'host'.*http://", 0),
    "m04_wrong_token_carto": ("AuthenticationFailed", "'carto_badtoken'", "Check the field 'password'", 0),
    "m04b_wrong_key_alteryx": (
        "AuthenticationFailed",
        "'alteryx_badkey'",
        "Check the fields 'login' and 'password'",
        0,
    ),
    "m04c_wrong_token_stevesie": ("AuthenticationFailed", "'stevesie_badtoken'", "Check the field 'password'", 0),
    "m04d_wrong_password_chorus": (
        "AuthenticationFailed",
        "'chorus_badpw'",
        "Check the fields 'login' and 'password'",
        0,
    ),
    "m04e_wrong_key_invision": ("FinalUnknownStart|UnknownStart", "'invision_badkey'", "wrong key.*check", 0),
    "m04f_alteryx_host_without_webapi": ("InvalidConnection", "'alteryx_no_webapi'", "[Cc]heck the field 'host'", 0),
    "m05_typo_param_carto_call": ("InvalidArgument", "query_parameters", "state", 0),
    "m05b_typo_param_carto_proc": ("InvalidArgument", "query_parameters", "'stat'; it has: state", 0),
    "m05c_typo_param_alteryx": ("InvalidArgument", "query_parameters", "'Symbl'; it has: Symbol", 0),
    "m05e_typo_param_chorus": ("RequestRejected|InvalidArgument", "wether", "correct|unknown", 0),
    # CARTO tells that a procedure is unknown only by a run that fails.
    "m06_workflow_not_found_carto": ("RunFailed", "Not found: Procedure", "was not found", 1),
    "m06b_not_found_alteryx": ("WorkflowNotFound", "'Stock price'", "nearest: 'Stock prices'", 0),
    "m06c_not_found_stevesie": ("WorkflowNotFound", "'stevesie_default'", "check its id", 0),
    "m06d_not_found_chorus": ("WorkflowNotFound", "'chorus_default'", "check its id", 0),
    "m06e_not_found_invision": ("FinalUnknownStart|UnknownStart", "'invision_default'", "data flow id: check", 0),
    "m06f_name_on_carto": ("NotSupported", "name:airports_in_state", "Give the workflow's id", 0),
    # The warehouse alone knows the type, and tells it by a run that fails.
    "m07_wrong_param_type": ("RunFailed", "@min_airports", "expected FLOAT64, got STRING", 1),
    "m07b_params_list_for_alteryx": ("InvalidArgument", "query_parameters", "mapping", 0),
    "m07d_parameter_types_bad_value": ("InvalidArgument", "query_parameters.*min_airports", "int64", 0),
    "m09c_query_parameters_list_not_expanded": ("InvalidArgument", "query_parameters", "give a mapping.*expand", 0),
    "m10_wrong_table_statement": ("InvalidArgument", "table", "a statement, not a name; expected", 0),
    "m10b_wrong_schema": ("WorkflowError|InvalidArgument", "'nope.t'", "nope", 1),
    "m10c_table_exists_default": ("WorkflowError|InvalidArgument", "airports", "if_exists|exists", 1),
    "m12_wrong_output_name": ("OutputUnavailable", "'prices.csv'", "its outputs: 'stock_prices.csv'", 1),
    "m12b_wrong_output_name_chorus": ("OutputUnavailable", "'Numbrs'", "'Numbers'", 3),
    "m12c_no_output_name_invision": ("OutputUnavailable", "output", "table:<name>", 1),
    "m13_missing_sql_provider": ("WorkflowError|InvalidConnection", "mysql_missing", "connect|install", 1),
    "m13b_sql_conn_not_sql": (
        "InvalidConnection",
        "sql_conn_id: connection 'an_http'",
        "install apache-|Give one of a database",
        1,
    ),
    "m13c_sql_conn_undefined": ("InvalidConnection", "sql_conn_id: connection 'warehose'", "is not defined", 1),
    "m14_bad_poll_interval_text": ("InvalidArgument", "poll_interval", "seconds above 0", 0),
    "m14b_bad_poll_interval_negative": ("InvalidArgument", "poll_interval", "seconds above 0", 0),
    "m14c_poll_interval_text_minutes": ("InvalidArgument", "poll_interval", "seconds above 0", 0),
    "m15_timeout_zero": ("InvalidArgument", "timeout", "seconds above 0", 0),
    "m16_run_none": ("InvalidArgument", "run: is empty", "because it was skipped", 0),
    "m16b_run_empty_string": ("InvalidArgument", "run", "run: is empty; give a run object", 0),
    "m16c_cancel_none": ("InvalidArgument", "run", "give a run object", 0),
    "m17_run_of_another_system": ("InvalidArgument", "run", "'carto'.*'stevesie'", 1),
    "m18_run_id_without_system": ("InvalidArgument", "run", "system=", 1),
    "m18b_return_value_field": ("InvalidArgument", "run", "system=", 1),
    "m19_sensor_without_run": ("InvalidArgument", "run", "run_id", 0),
    "m19b_sensor_both": ("InvalidArgument", "run", "run_id", 0),
    "m19c_chorus_bare_id_without_workflow": ("InvalidArgument", "workflow", "pass workflow=", 0),
    "m20_plain_http": ("InvalidConnection", "'carto_plainhttp', field 'host'", "use https, or set allow_http", 0),
    "m20b_connection_empty": ("InvalidConnection", "'carto_empty', field 'host'", "give the base URL", 0),
    "m20c_bad_extra_json": (
        "InvalidConnection|AuthenticationFailed",
        "'carto_badextra'",
        "[Cc]heck|JSON|not defined",
        0,
    ),
    "m20d_bad_timeout_in_extra": ("InvalidConnection", "'carto_badtimeout', field 'timeout'", "a number above 0", 0),
    "m21_wrong_conn_type": ("InvalidConnection", "'an_http' is of type http", "wants carto", 0),
    "m21b_other_system_conn": ("InvalidConnection", "'stevesie_default' is of type stevesie", "wants carto", 0),
    "m22_upsert_without_keys": ("InvalidArgument", "key_columns", "make a row unique", 0),
    "m22b_if_exists_typo": ("InvalidArgument", "if_exists", "expected one of.*'overwrite'", 0),
    "m22c_where_unknown_column": (
        "WorkflowError|InvalidArgument",
        "'airports'",
        "where: the database refuses.*no such column: day",
        1,
    ),
    "m25_on_run_failure_typo": ("InvalidArgument", "on_run_failure", "expected 'fail' or 'skip'", 0),
    "m26_output_of_running_run": ("OutputUnavailable", "is still (queued|running)", "wait for it", 1),
    "m27_kwarg_typo": ("TypeError|AirflowException", "CartoRunWorkflowOperator", "", 0),
    "m28_priority": ("InvalidArgument", "priority", "expected .*Default", 0),
    "m29_run_mode": ("InvalidArgument", "run_mode", "expected .*engine", 0),
    "m30_file_exists": ("InvalidArgument", "path", "overwrite=True", 1),
    "m31_s3_without_provider": ("InvalidArgument|InvalidConnection", "path: 's3://bucket/x.csv'", "pip install", 1),
    "m31b_xlsx": ("InvalidArgument", "format", "expected one of 'parquet'", 0),
    "m31c_folder": ("InvalidArgument", "path", "give the name of a file", 0),
    "m32_event_trigger_carto": ("NotSupported", "CARTO|needs Airflow 3.0", "sensor", 0),
    "m33_cancel_stevesie": ("CancelNotSupported", "Stevesie", "no API call that cancels", 1),
    "m34_no_params": ("InvalidArgument", "query_parameters", "state", 0),
    "m35_string_params": ("InvalidArgument", "query_parameters", "expected a mapping or a list", 0),
    "m36_columns_unknown": ("OutputUnavailable|InvalidArgument", "'nme'", "'iata', 'name'", 1),
    "m37_column_type_bad": ("OutputUnavailable|InvalidArgument", "'iata'", "int64", 1),
}
# What looks like a mistake, and is not one: it works, or a warning says what is odd.
FINE = {
    "m05d_typo_param_stevesie": "its API accepts any parameter",
    "m05f_typo_param_invision": "its API accepts any argument",
    "m07c_parameter_types_typo": "int is another name of int64",
    "m09_nested_list": "a list of runs is accepted",
    "m09b_expand_replace": "a mapped task; see docs/guides/dynamic_task_mapping.md",
    "m11_missing_extra_yxdb": "the extra is installed here",
    "m15b_timeout_tiny": "the run is quick enough",
    "m20e_typo_in_extra_key": "a warning names the extra",
}

# Further mistakes: when the error comes, its class, what its first line says, and the runs that are started.
MORE_TABLE = {
    "n01_system_of_no_package": (
        "run",
        "InvalidArgument",
        "system: 'acme' is unknown; known: carto.*install its package",
        0,
    ),
    "n02_system_typo": ("run", "InvalidArgument", "did you mean 'carto'", 0),
    "n03_start_option_of_another_system": (
        "run",
        "InvalidArgument",
        "priority: CARTO has no such start option; it has: carto_connection",
        0,
    ),
    "n04_start_options_as_text": ("parse", "InvalidArgument", "start_options: expected a mapping", 0),
    "n05_workflow_none_text": ("run", "InvalidArgument", "workflow: is the text 'None'.*template", 0),
    "n06_workflow_empty": ("run", "InvalidArgument", "workflow: is empty; give its id", 0),
    "n07_workflow_number": ("parse", "InvalidArgument", "workflow: expected its id or name", 0),
    "n08_timeout_text_none": ("run", "InvalidArgument", "timeout: expected seconds above 0.*not 'None'", 0),
    "n09_timeout_text_with_unit": ("parse", "InvalidArgument", "timeout: expected seconds above 0.*not '2h'", 0),
    "n10_parameter_types_of_a_list": (
        "run",
        "InvalidArgument",
        "parameter_types: is a list, but query_parameters is a mapping",
        0,
    ),
    "n12_run_text_none": ("run", "InvalidArgument", "run: is the text 'None'.*skipped", 0),
    "n14_run_list_of_ids": ("parse", "InvalidArgument", "run: the bare id 'a'.*system=", 0),
    "n15_run_dict_of_another_kind": ("run", "InvalidArgument", "run: the run object lacks system, conn_id, run_id", 0),
    "n16_sensor_run_empty": ("run", "InvalidArgument", "run: is empty; give a run object", 0),
    "n17_sensor_run_id_text_none": ("run", "InvalidArgument", "run: is the text 'None'", 0),
    "n18_sensor_without_system": ("parse", "InvalidArgument", "system: is missing", 0),
    "n19_sensor_invision_without_workflow": ("run", "InvalidArgument", "pass workflow=", 0),
    "n20_sensor_timeout_negative": ("parse", "InvalidArgument", "timeout: expected seconds above 0", 0),
    "n21_sensor_unknown_run": (
        "run",
        "WorkflowNotFound",
        "The run is gone, or connection 'carto_default' never had it",
        0,
    ),
    "n22_cancel_bare_id": ("parse", "InvalidArgument", "run: the bare id 'job_1'.*system=", 0),
    "n23_cancel_unknown_run": (
        "run",
        "WorkflowNotFound",
        "The run is gone, or connection 'carto_default' never had it",
        0,
    ),
    "n24_expect_unknown_check": (
        "parse",
        "InvalidArgument",
        "expect: there is no check 'min_row'; there are min_rows",
        0,
    ),
    "n25_expect_too_few_rows": ("run", "ExpectationFailed", r"expect\['min_rows'\] is violated.*at least 1000000", 1),
    "n26_expect_share_as_percent": (
        "parse",
        "InvalidArgument",
        r"expect\['max_shrink'\]: expected a share from 0 to 1, not 50",
        0,
    ),
    "n27_expect_unknown_column": ("run", "InvalidArgument", r"expect\['not_null'\].*no column 'nme'; it has iata", 1),
    "n28_expect_text": ("parse", "InvalidArgument", "expect: expected a mapping", 0),
    "n29_add_columns_unknown_fact": ("parse", "InvalidArgument", r"add_columns\['run'\].*did you mean '{run_id}'", 0),
    "n30_add_columns_existing": ("run", "InvalidArgument", "add_columns.*'iata'.*give another name", 1),
    "n31_add_columns_unknown_parameter": (
        "run",
        "InvalidArgument",
        r"add_columns\['s'\].*'stat'; give its value with a template",
        1,
    ),
    "n32_csv_options_unknown_key": (
        "parse",
        "InvalidArgument",
        "csv_options: unknown key 'separator'. The keys are encoding, delimiter",
        0,
    ),
    "n33_csv_options_encoding": ("parse", "InvalidArgument", r"csv_options\['encoding'\].*examples are 'utf-8'", 0),
    "n34_csv_options_delimiter": (
        "parse",
        "InvalidArgument",
        r"csv_options\['delimiter'\]: expected one ASCII character",
        0,
    ),
    "n35_csv_options_delimiter_of_another_file": (
        "run",
        "OutputUnavailable",
        "no column 'symbol'; the columns are 'symbol,date,price'",
        1,
    ),
    "n36_partition_by_unknown_column": (
        "run",
        "InvalidArgument",
        "partition_by: there is no column 'stat'; there are iata",
        1,
    ),
    "n37_partition_by_raw": (
        "parse",
        "InvalidArgument",
        "format: 'raw' keeps the bytes; .*partition_by need another",
        0,
    ),
    "n38_partition_by_all_columns": ("run", "InvalidArgument", "partition_by: names every column.*leave one out", 1),
    "n39_on_new_column_typo": ("parse", "InvalidArgument", "on_new_column: expected one of 'fail', 'add', 'ignore'", 0),
    "n40_on_missing_column_fail": (
        "run",
        "InvalidArgument",
        "on_missing_column: the output lacks 'name'.*on_missing_column='null'",
        1,
    ),
    "n41_new_column": ("run", "InvalidArgument", "the table lacks 'name'.*Use on_new_column='add' or 'ignore'", 1),
    "n42_load_method_typo": ("parse", "InvalidArgument", "load_method: expected one of 'auto'", 0),
    "n43_load_method_in_database": ("run", "InvalidArgument", "load_method: 'in_database' works for .*use 'auto'", 1),
    "n44_lock_timeout_text": ("parse", "InvalidArgument", "lock_timeout: expected a number of seconds", 0),
    "n46_key_columns_unknown": ("run", "InvalidArgument", "key_columns: there is no column 'id'; there are iata", 1),
    "n48_replace_where_without_where": (
        "parse",
        "InvalidArgument",
        "where: if_exists='replace_where' needs the condition",
        0,
    ),
    "n49_column_types_unknown": (
        "parse",
        "InvalidArgument",
        r"column_types\['iata'\]: unknown type 'varchar'; known are int64",
        0,
    ),
    "n50_column_types_unknown_column": ("run", "OutputUnavailable", "no column 'itaa'; the columns are 'iata'", 1),
    "n51_columns_twice": ("parse", "InvalidArgument", "columns: two columns would be called 'x'", 0),
    "n52_output_index": ("run", "OutputUnavailable", "no output 3; its outputs: 'stock_prices.csv'", 1),
    "n53_compression_of_another_format": (
        "parse",
        "InvalidArgument",
        "compression: csv knows 'none', 'gzip', not 'snappy'",
        0,
    ),
    "n54_placeholder_typo": (
        "parse",
        "InvalidArgument",
        "path: the placeholder '{runid}' is unknown; did you mean '{run_id}'",
        0,
    ),
    "n55_table_placeholder_typo": (
        "parse",
        "InvalidArgument",
        "table: the placeholder '{run}' is unknown; did you mean '{run_id}'",
        0,
    ),
    "n56_storage_conn_undefined": (
        "run",
        "InvalidArgument",
        "path: 'gs://bucket/x.csv' cannot be used.*pip install",
        1,
    ),
    "n58_log_interval_zero": ("parse", "InvalidArgument", "log_interval: expected seconds above 0", 0),
    "n59_event_trigger_state": (
        "parse",
        "InvalidArgument|NotSupported",
        "states: 'completed' is not a final state.*succeeded, failed, cancelled|needs Airflow 3.0",
        0,
    ),
    "n60_event_trigger_since": (
        "parse",
        "InvalidArgument|NotSupported",
        "since: expected a datetime or ISO 8601 text, not 'yesterday'|needs Airflow 3.0",
        0,
    ),
    "n61_collection_items_text": ("parse", "InvalidArgument", "items: expected a list, not str", 0),
    "n62_collection_method": ("parse", "InvalidArgument", "method: expected one of add, remove, replace", 0),
    "n63_collection_unknown": ("run", "WorkflowNotFound", "'stevesie_default'; check the id", 0),
    "n64_maximum_requests_text": (
        "parse",
        "InvalidArgument",
        "maximum_requests_count: expected a whole number above 0",
        0,
    ),
    "n65_proxy_with_address": ("parse", "InvalidArgument", "proxy: expected a mapping without a URL", 0),
    "n66_flow_without_fields": ("run", "InvalidConnection", "'invision_bare', field 'flow_api_key': is empty", 0),
    "n67_invision_output_without_key": (
        "run",
        "OutputUnavailable",
        "'invision_bare', field 'data_api_key': is empty",
        1,
    ),
    "n68_chorus_variables_of_a_job": ("run", "InvalidArgument", "query_parameters: run_mode 'job' takes none", 0),
    "n69_extra_verify_text": ("run", "InvalidConnection", "'carto_verify', field 'verify': there is no file", 0),
    "n70_extra_warehouse": (
        "run",
        "InvalidConnection",
        "'carto_warehouse', field 'warehouse': expected one of bigquery",
        0,
    ),
    "n71_extra_proxies": ("run", "InvalidConnection", "'carto_proxies', field 'proxies': is not JSON", 0),
    "n73_host_with_query": ("run", "InvalidConnection", "'carto_query', field 'host': holds a query.*base URL only", 0),
    "n74_query_parameters_text_none": ("run", "InvalidArgument", "query_parameters: expected a mapping or a list", 0),
    "n75_query_parameters_json_broken": ("run", "InvalidArgument", "query_parameters: looks like JSON, but is not", 0),
    "n76_query_parameters_callable_returns_none": (
        "run",
        "InvalidArgument",
        "query_parameters: the CALL needs state",
        0,
    ),
    "n78_query_parameters_object": (
        "run",
        "InvalidArgument",
        r"query_parameters\['state'\]: a value of type object",
        0,
    ),
    "n79_asset_alias_empty": ("parse", "InvalidArgument", "asset_alias: ' ' is empty.*give a name", 0),
    "n80_two_outputs": (
        "run",
        "OutputUnavailable",
        "has 2 outputs. Set output_name to one of: 'daily.yxdb', 'monthly.csv'",
        1,
    ),
}


@pytest.fixture
def quick_sandbox(sandbox, tmp_path, monkeypatch):
    """The sandbox with quick runs, the connections of the cases, and an empty working folder."""
    for key, system in sandbox.app.systems.items():
        sandbox.settings(key, **{name: QUICK for name in RUN_TIMES if name in system.settings.to_json()})
    given = connections(sandbox.connections(), sandbox.url, tmp_path) | more.connections(sandbox.connections())
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    with contextlib.closing(sqlite3.connect(tmp_path / "warehouse.db")) as database:
        database.execute("CREATE TABLE airports (iata, name, city, state, latitude, longitude)")
        database.execute("CREATE TABLE narrow (iata)")
    return sandbox


def test_each_mistake_is_judged():
    assert TABLE.keys() | FINE.keys() == CASES.keys()
    assert len(CASES) == 79
    assert MORE_TABLE.keys() == more.MORE.keys()


# Literals that cannot be right: the DAG file does not load, so that no run is paid for.
AT_PARSE = {
    "m10_wrong_table_statement",
    "m14_bad_poll_interval_text",
    "m14b_bad_poll_interval_negative",
    "m14c_poll_interval_text_minutes",
    "m15_timeout_zero",
    "m16b_run_empty_string",
    "m16c_cancel_none",
    "m19_sensor_without_run",
    "m19b_sensor_both",
    "m22_upsert_without_keys",
    "m22b_if_exists_typo",
    "m25_on_run_failure_typo",
    "m27_kwarg_typo",
    "m28_priority",
    "m29_run_mode",
    "m31b_xlsx",
    "m31c_folder",
    "m32_event_trigger_carto",
}


def test_an_unknown_extra_is_named_with_the_nearest_known_one(quick_sandbox):
    (warning,) = [text for text in seen(CASES["m20e_typo_in_extra_key"]).warnings if "carto_conection" in text]
    assert "the nearest known one is 'carto_connection'" in warning


@pytest.mark.system
@pytest.mark.parametrize("name", TABLE)
def test_the_first_line_names_the_field_and_the_remedy(name, quick_sandbox):
    """The cause and the remedy come first, in a line that is not too long; nothing is started for nothing."""
    kinds, field, remedy, started = TABLE[name]
    found = seen(CASES[name])
    assert re.fullmatch(kinds, found.kind), found
    assert (found.when == "parse") == (name in AT_PARSE), found
    assert re.search(field, "\n".join(found.lines)), found.lines
    assert re.search(remedy, found.first), found.first
    runs = len(quick_sandbox.runs())
    assert runs in (started if isinstance(started, tuple) else (started,)), f"{runs} runs were started"
    assert not re.search(r"0x[0-9a-f]{6}|Traceback|<class", found.first), found.first


@pytest.mark.system
@pytest.mark.parametrize("name", MORE_TABLE)
def test_the_first_line_of_a_further_mistake_names_the_field_and_the_remedy(name, quick_sandbox):
    """What is literal fails when the DAG is parsed; what only a task can know fails before a run is started for it."""
    when, kind, text, started = MORE_TABLE[name]
    found = seen(more.MORE[name])
    assert found.when == when, found
    assert re.fullmatch(kind, found.kind), found
    assert re.search(text, found.first), found.first
    assert len(quick_sandbox.runs()) == started
    assert not re.search(r"0x[0-9a-f]{6}|Traceback|<class", found.first), found.first
