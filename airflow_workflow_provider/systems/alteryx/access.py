"""How Alteryx Server is reached: the two generations of its API, their credentials, the connection's form.

Sources: [v3] the server's own Swagger page of V3, [v1] its API page of V1, [help] https://help.alteryx.com.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from airflow_workflow_provider.protocol.api import Api
from airflow_workflow_provider.protocol.auth import Auth, NoAuth, SignAuth
from airflow_workflow_provider.protocol.effects import Request
from airflow_workflow_provider.protocol.oauth1 import OAuth1
from airflow_workflow_provider.protocol.oauth2 import client_credentials
from airflow_workflow_provider.systems.alteryx import jobs

LABEL = "Alteryx Server"
FIELDS = "fields 'login' and 'password'"
TOKEN = "/oauth2/token"  # noqa: S105  # a path
LIFETIME = 3_600.0  # seconds; a token lasts an hour


@dataclass(frozen=True)
class Generation:
    """The paths of one generation of the API, below the connection's host; empty where it has no such call."""

    workflows: str
    workflow: str
    search: str
    questions: str
    jobs: str
    job: str
    output: str
    input_files: str
    can_cancel: bool
    newest_first: Mapping[str, str]


GENERATIONS: Mapping[str, Generation] = {
    # [v3]; it has no download, so the output comes from V1 with the same token
    "oauth2": Generation(
        "/v3/workflows",
        "/v3/workflows/{workflow}",
        "name",
        "/v3/workflows/{workflow}/questions",
        "/v3/workflows/{workflow}/jobs",
        "/v3/jobs/{run_id}",
        "/v1/jobs/{run_id}/output/{output}",
        "/user/v2/inputfiles",  # of V2, as the vendor's page of that API lists it; unverified on a server
        True,
        {"sortField": "CreateDate", "direction": "desc"},  # the parameters are [v3]'s, their values unverified
    ),
    # [v1]; its clients write the slash at the end, which is part of what is signed
    "oauth1": Generation(
        "/api/v1/workflows/subscription/",
        "",
        "search",
        "/api/v1/workflows/{workflow}/questions/",
        "/api/v1/workflows/{workflow}/jobs/",
        "/api/v1/jobs/{run_id}/",
        "/api/v1/jobs/{run_id}/output/{output}/",
        "/api/user/v2/inputfiles/",  # unverified
        False,
        {"sortField": "createdate", "direction": "desc"},
    ),
}


def oauth2(conn_id: str, base_url: str, key: str, secrets: tuple[str, ...]) -> Auth:
    """Fetch a bearer token with the key pair of the user's profile page; there is no refresh token [help]."""
    basic = base64.b64encode(f"{key}:{secrets[0]}".encode()).decode()
    request = Request(
        "POST", base_url + TOKEN, form={"grant_type": "client_credentials"}, headers={"Authorization": f"Basic {basic}"}
    )
    return client_credentials(
        Api(conn_id, base_url, NoAuth(), jobs.said, secrets, LABEL, FIELDS),
        request,
        lifetime=LIFETIME,
        early=60.0,
        field="host",
    )


def oauth1(conn_id: str, base_url: str, key: str, secrets: tuple[str, ...]) -> Auth:
    """Sign with HMAC-SHA1, one-legged: there is no token [v1]. Every attempt gets a nonce of its own."""
    signer = OAuth1(key, secrets[0])
    return SignAuth(lambda: signer)


AUTHS: Mapping[str, Callable[[str, str, str, tuple[str, ...]], Auth]] = {"oauth2": oauth2, "oauth1": oauth1}
