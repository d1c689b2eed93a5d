"""Airflow 2's connection form, from the same table that Airflow 3's is checked against."""

from __future__ import annotations

from typing import Any

from airflow_workflow_provider.protocol.system import Form


def form_widgets(form: Form) -> dict[str, Any]:
    """Give a form widget per extra field."""
    from flask_appbuilder.fieldwidgets import BS3PasswordFieldWidget, BS3TextFieldWidget
    from wtforms import BooleanField, PasswordField, StringField

    widgets: dict[str, Any] = {}
    for name, field in form.extras.items():
        if field.kind == "boolean":
            widgets[name] = BooleanField(field.label, default=bool(field.default), description=field.description)
        elif field.secret:
            widgets[name] = PasswordField(field.label, widget=BS3PasswordFieldWidget(), description=field.description)
        else:
            widgets[name] = StringField(field.label, widget=BS3TextFieldWidget(), description=field.description)
    return widgets


def field_behaviour(form: Form) -> dict[str, Any]:
    """Give labels, placeholders and hidden fields in the words of Airflow 2."""
    extras = {name: field.placeholder for name, field in form.extras.items() if field.placeholder}
    return {
        "hidden_fields": list(form.hidden),
        "relabeling": dict(form.labels),
        "placeholders": {**form.placeholders, **extras},
    }
