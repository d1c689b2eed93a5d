"""The connection form of a system, as a table. This module imports nothing but the standard library."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any


@dataclass(frozen=True)
class Field:
    """One field of a connection form. ``kind`` is a JSON schema type; a secret one is shown as a password."""

    label: str
    description: str = ""
    kind: str = "string"
    secret: bool = False
    choices: tuple[str, ...] = ()
    default: Any = None
    placeholder: str = ""


@dataclass(frozen=True)
class Form:
    """The connection form of a system: labels of Airflow's own fields, which of them are hidden, and the extras."""

    labels: Mapping[str, str]
    placeholders: Mapping[str, str]
    hidden: tuple[str, ...]
    extras: Mapping[str, Field]


COMMON_FIELDS: Mapping[str, Field] = {
    "verify": Field("Verify TLS", "true, false, or the path of a CA file. Default true.", placeholder="true"),
    "timeout": Field("Timeout", "Seconds that one request may take. Default 30.", placeholder="30"),
    "proxies": Field(
        "Proxies",
        'JSON object from scheme to proxy URL, such as {"https": "http://proxy:3128"}.',
        kind="object",
        placeholder='{"https": "http://proxy:3128"}',
    ),
    "allow_http": Field(
        "Allow http", "Send credentials over plain http. Default false.", kind="boolean", default=False
    ),
    "max_answer_bytes": Field(
        "Answer limit",
        "Bytes that an answer of the API may have. Default 33554432 (32 MB), in a triggerer 8388608 (8 MB).",
        placeholder="33554432",
    ),
    "result_hosts": Field(
        "Result hosts",
        "Hosts that results are read from, separated by commas; * stands for any part. "
        "Default any, except this machine and link-local ones.",
        placeholder="*.s3.amazonaws.com",
    ),
}


# The fields of a connection that are Airflow's own, and the kinds that a field of a form may have.
OWN_FIELDS = ("host", "schema", "login", "password", "port", "extra", "description")
KINDS = ("string", "boolean", "integer", "number", "object", "array")


def wrong_form(form: Form) -> Iterator[str]:
    """Say what is wrong with a form; each sentence begins with its part."""
    for part in ("labels", "placeholders", "extras"):
        if not isinstance(getattr(form, part), Mapping):
            yield f"{part} is no mapping, but {type(getattr(form, part)).__name__}"
            return
    if isinstance(form.hidden, str) or not isinstance(form.hidden, Collection):
        yield f"hidden is no tuple of names, but {form.hidden!r}"
        return
    for name, field in form.extras.items():
        yield from _wrong_extra(name, field)
    parts = (
        ("labels", form.labels, OWN_FIELDS),
        ("hidden", form.hidden, OWN_FIELDS),
        ("placeholders", form.placeholders, (*OWN_FIELDS, *form.extras)),
    )
    for part, names, known in parts:
        for name in names:
            if name not in known:
                yield f"{part} names {name!r}, which is no field of the form; known: {', '.join(map(str, known))}"
    both = sorted(set(form.hidden) & set(form.labels))
    if both:
        yield f"hidden and labels both name {both[0]!r}"


def _wrong_extra(name: Any, field: Any) -> Iterator[str]:
    if not isinstance(name, str) or not isinstance(field, Field):
        yield f"extras[{name!r}] is no Field, but {type(field).__name__}"
    elif field.kind not in KINDS:
        yield f"extras[{name!r}] has the kind {field.kind!r}; known: {', '.join(KINDS)}"


def unknown_extras(form: Form, extra: Mapping[str, Any]) -> list[str]:
    """Name the nearest known extra for each extra that the form does not have, since nothing reads an unknown one.

    Extras in the form of Airflow 1 (``extra__…``) are left out.
    """
    found = []
    for name in extra:
        if not isinstance(name, str) or name in form.extras or name.startswith("extra__"):
            continue
        close = get_close_matches(name.lower(), list(form.extras), 1, 0.6)
        known = f"the nearest known one is {close[0]!r}" if close else f"known: {', '.join(form.extras)}"
        found.append(f"the extra {name!r} is unknown and has no effect; {known}")
    return found


def connection_type(form: Form, conn_type: str, hook_class_name: str, hook_name: str) -> dict[str, Any]:
    """Give a form as the entry of ``connection-types`` that Airflow reads from a provider's information."""
    extras = {name: field.placeholder for name, field in form.extras.items() if field.placeholder}
    return {
        "connection-type": conn_type,
        "hook-class-name": hook_class_name,
        "hook-name": hook_name,
        "ui-field-behaviour": {
            "relabeling": dict(form.labels),
            "hidden-fields": list(form.hidden),
            "placeholders": {**form.placeholders, **extras},
        },
        "conn-fields": {name: _shown(field) for name, field in form.extras.items()},
    }


def _shown(field: Field) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": [field.kind, "null"]}
    if field.secret:
        schema["format"] = "password"
    if field.choices:
        schema["enum"] = list(field.choices)
    if field.default is not None:
        schema["default"] = field.default
    return {"label": field.label, "description": field.description, "schema": schema}


def provider_info(key: str, label: str, form: Form, distribution: str, *, url: str = "") -> dict[str, Any]:
    """Give what the entry point ``apache_airflow_provider`` of a system's own distribution returns.

    It makes the connection form, the hook behind "Test" in Airflow's page, and the URIs of the system's assets known.
    Airflow asks for it while it is imported, so the module that calls this imports nothing of Airflow.

    :param key: the key of the system, which is its connection type.
    :param label: its name for people.
    :param distribution: the name of its distribution, which Airflow compares with the installed ones.
    :param url: address of the documentation.
    """
    uris = [
        {
            "schemes": [key],
            "handler": "airflow_workflow_provider.assets.uris.sanitize_uri",
            "to_openlineage_converter": "airflow_workflow_provider.lineage.naming.convert_asset_to_openlineage",
        }
    ]
    return {
        "package-name": distribution,
        "name": label,
        "description": f"Runs of {label} for airflow-workflow-provider.",
        "integrations": [{"integration-name": label, "external-doc-url": url, "tags": ["service"]}],
        "connection-types": [connection_type(form, key, f"airflow_workflow_provider.hooks.registered.{key}", label)],
        "asset-uris": uris,
        "dataset-uris": uris,
    }
