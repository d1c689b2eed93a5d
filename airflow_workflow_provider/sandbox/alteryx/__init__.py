"""Alteryx Server: a current one under ``/alteryx/webapi``, one of 2021.4 under ``/alteryx/gallery``.

The web API takes OAuth 2 and speaks V1, V2 and V3; the Gallery API takes OAuth 1.0a and speaks V1. Both see the same
apps and jobs; an app really runs SQL on real data, and its outputs are files with real rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_workflow_provider.sandbox.system import ServedRun, ServedWorkflow, System

from .api import Server
from .apps import APPS
from .settings import AlteryxSettings
from .users import ARTISAN, CURATOR, User

if TYPE_CHECKING:
    from starlette.types import ASGIApp


class Alteryx(System):
    """The system ``alteryx``."""

    key = "alteryx"

    def __init__(self) -> None:
        self.settings: AlteryxSettings = AlteryxSettings()
        self.server = Server(self.settings)

    def mounts(self) -> Mapping[str, ASGIApp]:
        """The two worlds."""
        return {"/alteryx/webapi": self.server.webapi(), "/alteryx/gallery": self.server.gallery()}

    def connections(self, base_url: str) -> Mapping[str, Mapping[str, Any]]:
        """One connection per way to sign in, and one for a curator, who sees everybody's jobs."""
        webapi, gallery = f"{base_url}/alteryx/webapi", f"{base_url}/alteryx/gallery"

        def connection(host: str, user: User, auth: str) -> dict[str, Any]:
            extra = {"auth": auth, "gallery_url": gallery}
            return {"conn_type": "alteryx", "host": host, "login": user.key, "password": user.secret, "extra": extra}

        return {
            "alteryx_default": connection(webapi, ARTISAN, "oauth2"),
            "alteryx_curator": connection(webapi, CURATOR, "oauth2"),
            "alteryx_oauth1": connection(gallery, ARTISAN, "oauth1"),
        }

    def describe(self) -> Sequence[ServedWorkflow]:
        """The apps with the default answers to their questions."""
        return [
            ServedWorkflow(
                app.name, app.id, app.summary, {one.name: one.value for one in app.questions}, "alteryx_default"
            )
            for app in APPS
        ]

    def runs(self) -> Sequence[ServedRun]:
        """Every job, also the deleted ones."""
        return [job.served() for job in self.server.jobs.known.values()]

    def reset(self) -> None:
        """No jobs, no tokens."""
        self.server.reset()
