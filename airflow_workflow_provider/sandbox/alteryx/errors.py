"""The errors of Alteryx Server, in the forms of its two generations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

DENIED = "Authorization has been denied for this request."
# inferred: the names of all but the first; https://github.com/TheInformationLab/alteryx-api-tools shows the form.
EXCEPTION_NAMES = {
    401: "UnauthorizedException",
    400: "BadRequestException",
    403: "ForbiddenException",
    404: "NotFoundException",
}


class ApiError(Exception):
    """An answer that is an error; ``body`` is given where it does not follow from the path's generation."""

    def __init__(self, status: int, message: str, body: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.body = status, message, body


def v1_body(status: int, message: str) -> dict[str, Any]:
    """V1's form of an error, confirmed for 401."""
    name = EXCEPTION_NAMES.get(status, "Exception")
    return {"data": None, "exceptionName": name, "innerExceptionMessage": "", "message": message}


def denied() -> ApiError:
    """A bad or expired token, or a role that may not; the text is confirmed, the body's shape inferred."""
    return ApiError(401, DENIED, {"message": DENIED})


def invalid(field: str, problem: str) -> ApiError:
    """V3's ``InvalidRequestResponseBody``: its keys are confirmed, its texts inferred."""
    message = "The request is invalid."
    return ApiError(400, message, {"message": message, "modelState": {f"contract.{field}": [problem]}})


def not_found(what: str) -> ApiError:
    """No such thing, or none that the caller may see; the text is inferred."""
    return ApiError(404, f"{what} not found.")


def no_route(path: str) -> ApiError:
    """No such path: the words of ASP.NET's Web API, on which the server is built (inferred)."""
    message = f"No HTTP resource was found that matches the request URI '{path}'."
    return ApiError(404, message, {"message": message})


def no_method(method: str) -> ApiError:
    """The path exists, the method does not: ASP.NET's words (inferred)."""
    message = f"The requested resource does not support http method '{method}'."
    return ApiError(405, message, {"message": message})
