"""Outputs of workflow runs into tables of a SQL database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, ClassVar

from airflow_workflow_provider.transfers.arguments import check_mapped, check_sql_arguments, checked_timeout
from airflow_workflow_provider.transfers.base import WorkflowOutputTransfer


class WorkflowOutputToSqlOperator(WorkflowOutputTransfer):
    """Loads outputs of one or more runs into a table of any database that has a `DbApiHook`.

    All rows or none: everything happens in one transaction. A retry of a try that had committed already succeeds
    without loading twice; a clear loads again. PostgreSQL is loaded by COPY, CSV files unparsed. Returns
    ``{"table", "rows", "bytes", "seconds"}``, and pushes each of these as an XCom of its own. ``bytes`` is the size of
    the CSV where its bytes were passed on, else of the rows in memory.

    The arguments that say which output of which run are described at
    :class:`~airflow_workflow_provider.transfers.base.WorkflowOutputTransfer`.

    :param sql_conn_id: Airflow connection to the database. (templated)
    :param table: the table, as ``table`` or ``schema.table``; unusual names in double quotes. ``{run_id}``,
        ``{output}`` and ``{index}`` separate the outputs, otherwise they go into one table, combined by column name.
        (templated)
    :param if_exists: what to do with an existing table: ``"fail"``; ``"append"``; ``"replace"`` all rows;
        ``"truncate"`` replaces all rows and keeps the table's own columns; ``"upsert"`` by ``key_columns``;
        ``"replace_where"`` deletes the rows that match ``where`` and inserts the new ones. A table that does not exist
        is created. (templated)
    :param key_columns: for upsert, the columns that make a row unique. (templated)
    :param where: for replace_where, a SQL condition, such as ``day = '{{ ds }}'``. (templated)
    :param columns: the columns to load, in this order, or a mapping from their names to the table's. (templated)
    :param column_types: column to Arrow type, such as ``int64``, ``string``, ``decimal128(12, 2)`` or ``timestamp[us,
        UTC]``; the other types are inferred from all values. An existing text column gets the text of the source.
        (templated)
    :param csv_options: how CSV files are written: ``encoding``, ``delimiter``, ``quote``, ``escape``, ``null_values``,
        ``decimal``, ``date_format``, ``skip_rows``, ``has_header``. (templated)
    :param add_columns: columns to add to every row, as a mapping from column to value. A value is text, a number, a
        date or a time; ``"{run_id}"``, ``"{state}"``, ``"{workflow}"``, ``"{started_at}"``, ``"{output}"``,
        ``"{parameters.<name>}"``, … are facts of the run; a list has names of facts only, such as ``["run_id"]``.
        (templated)
    :param on_new_column: what to do with a column that the table lacks: ``"fail"``, ``"add"`` it to the table, or
        ``"ignore"`` it. (templated)
    :param on_missing_column: what to do if the output lacks a column of the table: ``"null"`` leaves it to its default,
        else without a value; or ``"fail"``. (templated)
    :param expect: checks within the transaction: ``min_rows``, ``max_rows`` of the load, ``max_shrink`` of the table
        (0.5: at most by half), ``columns`` that the output must have, ``not_null``, ``unique`` and ``sql`` for the
        table after the load. If a check fails, the table is unchanged. (templated)
    :param load_method: how rows are loaded: ``"auto"`` chooses, and logs the choice; ``"in_database"`` inserts from the
        output where it is a table of the target's own database (PostgreSQL, DuckDB, data warehouses); ``"bulk"`` takes
        the database's bulk path (PostgreSQL, DuckDB, ADBC, MySQL by ``LOAD DATA LOCAL``, Snowflake, BigQuery, Redshift,
        SQL Server by pyodbc); ``"insert"`` takes INSERT. (templated)
    :param lock_timeout: seconds to wait for another load of the same table.
    :param staging_path: a folder on S3, such as ``s3://bucket/staging``, from which Redshift copies; the files are
        removed after the load. (templated)
    :param staging_conn_id: Airflow connection to that storage; default the path's own, or none. (templated)
    :param cleanup_output: drop the workflow's own output tables after the load (CARTO). A table that cannot be dropped
        is a warning. Runs with the same parameters share their output table.
    """

    template_fields: Sequence[str] = (
        "sql_conn_id",
        "staging_conn_id",
        *WorkflowOutputTransfer.template_fields,
        "table",
        "if_exists",
        "key_columns",
        "where",
        "columns",
        "column_types",
        "csv_options",
        "add_columns",
        "on_new_column",
        "on_missing_column",
        "expect",
        "load_method",
        "staging_path",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"run": "json", "where": "sql", "column_types": "json"}
    ui_color = "#e4f0e8"

    def __init__(
        self,
        *,
        sql_conn_id: str,
        table: str,
        if_exists: str = "fail",
        key_columns: Sequence[str] | None = None,
        where: str | None = None,
        columns: Sequence[str] | Mapping[str, str] | None = None,
        column_types: Mapping[str, str] | None = None,
        csv_options: Mapping[str, Any] | None = None,
        add_columns: Mapping[str, Any] | Sequence[str] | None = None,
        on_new_column: str = "fail",
        on_missing_column: str = "null",
        expect: Mapping[str, Any] | None = None,
        load_method: str = "auto",
        lock_timeout: float | timedelta = 600,
        cleanup_output: bool = False,
        staging_path: str | None = None,
        staging_conn_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.sql_conn_id = sql_conn_id
        self.table = table
        self.if_exists = if_exists
        self.key_columns = key_columns
        self.where = where
        self.columns = columns
        self.column_types = column_types
        self.csv_options = csv_options
        self.add_columns = add_columns
        self.on_new_column = on_new_column
        self.on_missing_column = on_missing_column
        self.expect = expect
        self.load_method = load_method
        self.lock_timeout = lock_timeout
        self.cleanup_output = cleanup_output
        self.staging_path = staging_path
        self.staging_conn_id = staging_conn_id
        self._identities: dict[str, str] = {}  # of the tables that this process has loaded
        check_sql_arguments(self)

    def execute(self, context: Any) -> dict[str, Any]:
        """Load the outputs, unless an earlier try of this task has committed them."""
        # Imported late: a DAG file must not pay for pyarrow and common.sql.
        from airflow_workflow_provider.outputs.csv_options import CsvOptions
        from airflow_workflow_provider.transfers import cleanup
        from airflow_workflow_provider.transfers.attempt import Attempt
        from airflow_workflow_provider.transfers.source.parts import checked_columns
        from airflow_workflow_provider.transfers.sql.checks import Expect
        from airflow_workflow_provider.transfers.sql.load import SqlLoad
        from airflow_workflow_provider.transfers.sql.modes import Mode
        from airflow_workflow_provider.transfers.sql.session import sql_hook
        from airflow_workflow_provider.transfers.sql.staged import Staging

        check_mapped(self, context)
        load = SqlLoad(
            hook=sql_hook(self.sql_conn_id),
            conn_id=self.sql_conn_id,
            table=self.table,
            mode=Mode.of(
                self.if_exists,
                self.as_value("key_columns"),
                self.where,
                self.on_new_column,
                self.on_missing_column,
            ),
            columns=self.as_value("columns"),
            column_types=self.as_value("column_types"),
            attempt=Attempt.of(context, [self.sql_conn_id, self.table], self.source_keys()),
            log=self.log,
            lock_timeout=checked_timeout(self.lock_timeout),
            add_columns=checked_columns(self.as_value("add_columns")),
            expect=Expect.of(self.as_value("expect")),
            load_method=self.load_method,
            staging=Staging(self.staging_path or "", self.staging_conn_id),
            csv_options=CsvOptions.parse(self.as_value("csv_options")),
        )
        result = load.earlier()
        if result is None or self.cleanup_output:
            resolved = self.resolve()
            load.uris = [uri for _, uri in self.sources]
        if self.cleanup_output:
            cleanup.check(resolved, self.conn_id)
        if result is None:
            result = load.run(resolved)
        if self.cleanup_output:
            cleanup.drop(resolved, self.conn_id, self.log)
        return self.handed_on(context, result)

    def named_targets(self, result: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Name the tables as lineage knows them: in PostgreSQL with the schema that the search path led to."""
        from airflow_workflow_provider.lineage.databases import named_tables
        from airflow_workflow_provider.transfers.sql.session import sql_hook

        given = [result["table"]] if isinstance(result["table"], str) else result["table"]
        tables = [self._identities.get(table, table) for table in given]
        return named_tables(sql_hook(self.sql_conn_id), self.sql_conn_id, tables)
