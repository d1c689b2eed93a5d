"""The errors of CARTO's API, and their bodies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import JSONResponse


class ApiError(Exception):
    """An answer that is an error: HTTP status, message, further keys of the body."""

    def __init__(self, status: int, message: str, extra: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.extra = status, message, dict(extra or {})


class SqlError(Exception):
    """The warehouse refuses a statement: 400 of a query, the failure of a job."""

    def __init__(self, message: str, reason: str = "invalidQuery") -> None:
        super().__init__(message)
        self.message, self.reason = message, reason


class UnknownProcedure(SqlError):
    """A CALL of a procedure that does not exist."""


def error_answer(error: ApiError, style: str) -> JSONResponse:
    """``{"error": ..., "status": ...}``, with the message as a string or as a list, as CARTO's clients expect both."""
    message = [error.message] if style == "list" else error.message
    return JSONResponse({"error": message, "status": error.status} | error.extra, status_code=error.status)


def token_missing() -> ApiError:
    """No token in the request; this body is recorded from the real API."""
    return ApiError(401, "Token not defined")


def token_refused(message: str = "Authentication failed") -> ApiError:
    """A token that is unknown or over; inferred for the SQL API, the body is that of the MCP host."""
    return ApiError(401, message, {"message": message})


def not_granted() -> ApiError:
    """The token's grants do not cover the statement; the message is CARTO's, the body's shape inferred."""
    return ApiError(403, "You don't have permissions to read this resource")


def not_found() -> ApiError:
    """No such path."""
    return ApiError(404, "Not Found")


def connection_not_found(name: str) -> ApiError:
    """No such CARTO connection; the message is the CLI's, status and key inferred."""
    return ApiError(404, "Connection not found", {"connection_name": name})
