"""The JSON of Chorus' records, with the fields of 2017 to 2019."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from .catalog import ANALYST, SCHEMA, User, Workfile, Workspace

MADE_AT = "2019-04-03T22:09:24Z"
DATA_SOURCE = {
    "id": 1000002,
    "name": "Greenplum",
    "entity_type": "gpdb_data_source",
    "is_deleted": None,
    "shared": False,
    "owner_id": ANALYST.id,
    "version": "9.1.2 - FactoryVersion",
    "is_hawq": None,
    "state": "online",
    "public": False,
}
DATABASE_JSON = {
    "id": 1000001,
    "name": "default",
    "data_source": DATA_SOURCE,
    "entity_type": "gpdb_database",
    "complete_json": True,
}
SECOND_SCHEMA_ID = 1000007
SCHEMA_JSON = {
    "id": 1000006,
    "name": SCHEMA,
    "dataset_count": 0,
    "refreshed_at": MADE_AT,
    "entity_type": "gpdb_schema",
    "is_deleted": None,
    "stale": False,
    "database": DATABASE_JSON,
    "complete_json": True,
}
BRIEF_USER: dict[str, Any] = {
    "image": {
        "original": "/images/general/default-user.png",
        "icon": "/images/general/default-user.png",
        "entity_type": "image",
        "complete_json": True,
    },
    "is_deleted": None,
    "auth_method": "internal",
    "ldap_group_id": None,
    "user_type": "analytics_developer",
    "entity_type": "user",
    "using_default_image": True,
    "active_license": True,
    "is_siteadmin": False,
    "roles": ["data_admin"],
}
WHOLE_USER: dict[str, Any] = {
    "title": "Data Scientist",
    "dept": "",
    "notes": "",
    "admin": False,
    "developer": False,
    "subscribed_to_emails": True,
    "tags": [],
    "deactivated_at": None,
    "complete_json": True,
}
STAGE = {"default": True, "id": 1000000, "name": "Define", "position": 0, "complete_json": True}


def stamp(moment: datetime | None) -> str | None:
    """A time as ``2019-04-03T22:09:35Z``."""
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}" if moment else None


def user(one: User, *, brief: bool = False) -> dict[str, Any]:
    """A person; briefly, as inside other records."""
    named = {"id": one.id, "username": one.username, "first_name": "Sandbox", "last_name": one.last_name}
    return named | BRIEF_USER | ({} if brief else WHOLE_USER | {"email": f"{one.username}@example.com"})


def workspace(one: Workspace, viewer: User, *, brief: bool = False) -> dict[str, Any]:
    """A workspace as somebody sees it; briefly, as inside the items of a list."""
    member = viewer.id in one.members
    shown: dict[str, Any] = {"id": one.id, "name": one.name, "is_deleted": None, "entity_type": "workspace"}
    if brief:
        return shown
    return shown | {
        "archived": False,
        "public": one.public,
        "archived_at": None,
        "summary": "",
        "permission": ["admin", "create_workflow"] if member else [],
        "members_count": len(one.members),
        "workspace_stage": STAGE,
        "workspace_stage_id": STAGE["id"],
        "archiver": None,
        "image": {"original": "", "icon": "", "entity_type": "image", "complete_json": True},
        "tags": [],
        "sandbox_info": SCHEMA_JSON,
        "show_sandbox_datasets": True,
        "owner": user(ANALYST),
        "is_member": member,
        "is_project": True,
        "complete_json": True,
    }


def workfile(one: Workfile, viewer: User, *, listed: bool = False) -> dict[str, Any]:
    """A workfile; in a list it does not say where it runs."""
    file, is_flow = one.file, one.file.flow is not None
    shown: dict[str, Any] = {
        "id": file.id,
        "workspace": workspace(file.workspace, viewer, brief=listed),
        "file_name": file.name,
        "file_type": "work_flow" if is_flow else "sql",
        "latest_version_id": None if is_flow else 1000001,
        "is_deleted": None,
        "recent_comments": [],
        "comment_count": 0,
        "tags": [],
        "entity_type": "workfile",
        "entity_subtype": "alpine" if is_flow else "chorus",  # inferred for a SQL file
        "user_modified_at": MADE_AT,
        "status": one.status,
        "description": None,
        "link_url": None,
        "owner": user(ANALYST, brief=True),
        "associated_worklets": [],
        "complete_json": True,
    }
    return shown if listed else shown | {"execution_locations": [DATABASE_JSON], "dataset_ids": []}


def versioned(shown: Mapping[str, Any]) -> dict[str, Any]:
    """A workfile with the times of its version, which only GET and lists have."""
    return {**shown, "version_info": {"created_at": MADE_AT, "updated_at": MADE_AT}}


def dataset(number: int, schema: str, name: str, subtype: str, kind: str, *, stale: bool = False) -> dict[str, Any]:
    """A table or view of a workspace."""
    return {
        "id": number,
        "object_name": name,
        "schema": SCHEMA_JSON if schema == SCHEMA else SCHEMA_JSON | {"id": SECOND_SCHEMA_ID, "name": schema},
        "entity_type": "dataset",
        "entity_subtype": subtype,
        "object_type": kind,
        "stale": stale,
        "stale_at": MADE_AT if stale else None,
        "is_deleted": False,
        "associated_workspaces": [],
        "has_credentials": True,
        "recent_comments": [],
        "comment_count": 0,
        "tags": [],
        "complete_json": True,
    }


def event(number: int, actor: User, action: str, at: datetime, content: Mapping[str, Any]) -> dict[str, Any]:
    """Something that happened; ``content`` are the records that it is about."""
    return {
        "id": number,
        "actor": user(actor, brief=True),
        "action": action,
        "timestamp": stamp(at),
        "attachments": [],
        **content,
        "comments": [],
        "is_insight": False,
        "promoted_by": None,
        "promotion_time": None,
        "is_published": False,
        "complete_json": True,
    }
