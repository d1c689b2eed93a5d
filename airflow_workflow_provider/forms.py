"""The connection form of a system, for the author of one: as stable as `airflow_workflow_provider.sdk`.

It is a module of its own since Airflow asks a provider for its form while Airflow itself is being imported: this module
imports nothing of it.
"""

from __future__ import annotations

from airflow_workflow_provider.protocol.form import COMMON_FIELDS, Field, Form, provider_info

__all__ = ["COMMON_FIELDS", "Field", "Form", "provider_info"]
