"""What the author of another workflow system imports.

Everything named here is public and stays: version 1.x of the SDK only adds. A system says with ``needs_sdk`` which
version it is written for. What is imported from any other module of this package may change at any time.

The tutorial is in the documentation, page "Write a system". `airflow_workflow_provider.testing.system_contract` tests a
system against this contract.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from airflow_workflow_provider.exceptions import (
    AuthenticationFailed,
    CancelNotSupported,
    CancelRefused,
    InvalidArgument,
    InvalidConnection,
    NotSupported,
    OutputGone,
    OutputUnavailable,
    PermissionDenied,
    ProtocolError,
    RequestRejected,
    ServerUnavailable,
    UnknownStart,
    WorkflowError,
    WorkflowNotFound,
)
from airflow_workflow_provider.protocol.api import Api, first_text
from airflow_workflow_provider.protocol.auth import Auth, HeaderAuth, NoAuth, QueryAuth, SignAuth, Token, TokenAuth
from airflow_workflow_provider.protocol.capabilities import (
    CanCancel,
    CanCountRows,
    CanDropOutput,
    CanListRuns,
    CanListWorkflows,
    CanNameUnlistedOutputs,
    HasLog,
)
from airflow_workflow_provider.protocol.connection import ConnectionValues
from airflow_workflow_provider.protocol.effects import (
    Chunk,
    Flow,
    Note,
    Now,
    Request,
    Response,
    RunList,
    Secret,
    Shared,
    Shown,
    Sleep,
)
from airflow_workflow_provider.protocol.form import COMMON_FIELDS, Field, Form
from airflow_workflow_provider.protocol.form import provider_info as form_info
from airflow_workflow_provider.protocol.model import Output, Run, RunState, Workflow
from airflow_workflow_provider.protocol.paging import (
    CursorPages,
    LinkedPages,
    NumberedPages,
    OffsetPages,
    Paginator,
    SinglePage,
    read_pages,
)
from airflow_workflow_provider.protocol.parameters import Parameters, spelled
from airflow_workflow_provider.protocol.places import found
from airflow_workflow_provider.protocol.policy import Asked
from airflow_workflow_provider.protocol.rest import RestSystem, line_of
from airflow_workflow_provider.protocol.rest_auth import (
    Anonymous,
    Basic,
    Bearer,
    Header,
    LogIn,
    OAuth1,
    OAuth2,
    QueryKey,
)
from airflow_workflow_provider.protocol.rest_calls import (
    IDEMPOTENCY_KEY,
    PARAMETERS,
    RUN_ID,
    WORKFLOW,
    Call,
    Cancel,
    FromHeader,
    InvalidDeclaration,
    ListRuns,
    ListWorkflows,
    Log,
    Option,
    Outputs,
    Start,
    Status,
    Table,
)
from airflow_workflow_provider.protocol.results import FileSource, Page, RowSource, Source
from airflow_workflow_provider.protocol.run_log import Cursor, CursorLost, LogLine, LogPage, unseen
from airflow_workflow_provider.protocol.system import WorkflowSystem, existing, id_text
from airflow_workflow_provider.protocol.times import from_epoch, iso, parse_time, time_or_none
from airflow_workflow_provider.systems.registry import GROUP, SDK_VERSION, check

__all__ = [
    "COMMON_FIELDS",
    "GROUP",
    "IDEMPOTENCY_KEY",
    "PARAMETERS",
    "RUN_ID",
    "SDK_VERSION",
    "WORKFLOW",
    "Anonymous",
    "Api",
    "Asked",
    "Auth",
    "AuthenticationFailed",
    "Basic",
    "Bearer",
    "Call",
    "CanCancel",
    "CanCountRows",
    "CanDropOutput",
    "CanListRuns",
    "CanListWorkflows",
    "CanNameUnlistedOutputs",
    "Cancel",
    "CancelNotSupported",
    "CancelRefused",
    "Chunk",
    "ConnectionValues",
    "Cursor",
    "CursorLost",
    "CursorPages",
    "Field",
    "FileSource",
    "Flow",
    "Form",
    "FromHeader",
    "HasLog",
    "Header",
    "HeaderAuth",
    "InvalidArgument",
    "InvalidConnection",
    "InvalidDeclaration",
    "LinkedPages",
    "ListRuns",
    "ListWorkflows",
    "Log",
    "LogIn",
    "LogLine",
    "LogPage",
    "NoAuth",
    "NotSupported",
    "Note",
    "Now",
    "NumberedPages",
    "OAuth1",
    "OAuth2",
    "OffsetPages",
    "Option",
    "Output",
    "OutputGone",
    "OutputUnavailable",
    "Outputs",
    "Page",
    "Paginator",
    "Parameters",
    "PermissionDenied",
    "ProtocolError",
    "QueryAuth",
    "QueryKey",
    "Request",
    "RequestRejected",
    "Response",
    "RestSystem",
    "RowSource",
    "Run",
    "RunList",
    "RunState",
    "Secret",
    "ServerUnavailable",
    "Shared",
    "Shown",
    "SignAuth",
    "SinglePage",
    "Sleep",
    "Source",
    "Start",
    "Status",
    "Table",
    "Token",
    "TokenAuth",
    "UnknownStart",
    "Workflow",
    "WorkflowError",
    "WorkflowNotFound",
    "WorkflowSystem",
    "check",
    "existing",
    "first_text",
    "found",
    "from_epoch",
    "id_text",
    "iso",
    "line_of",
    "parse_time",
    "provider_info",
    "read_pages",
    "replace",
    "spelled",
    "time_or_none",
    "unseen",
]


def provider_info(system: type[WorkflowSystem], distribution: str, *, url: str = "") -> dict[str, Any]:
    """Give what `airflow_workflow_provider.forms.provider_info` gives for the class of a system.

    A provider's entry point leads to a module that imports `airflow_workflow_provider.forms` only.
    """
    return form_info(system.key, system.label, system.form, distribution, url=url)
