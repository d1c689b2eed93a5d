"""Airflow 2's connection form, from the same table that Airflow 3's is checked against."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from airflow_workflow_provider.hooks.connections import system_class
from airflow_workflow_provider.protocol.system import Field, Form

_METHODS = ("get_connection_form_widgets", "get_ui_field_behaviour")


class FormOfAirflow2:
    """Gives a hook the form of its system. Airflow 2 takes it from the hook's own class only, not from a base class."""

    system_key: ClassVar[str] = ""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name in _METHODS:
            if cls.system_key:
                setattr(cls, name, classmethod(vars(FormOfAirflow2)[name].__func__))

    @classmethod
    def get_connection_form_widgets(cls) -> dict[str, Any]:
        """Give the extra fields."""
        return form_widgets(system_class(cls.system_key).form)

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Give labels, placeholders and hidden fields."""
        return field_behaviour(system_class(cls.system_key).form)


def form_widgets(form: Form) -> dict[str, Any]:
    """Give a form widget per extra field."""
    return {name: _widget(field) for name, field in form.extras.items()}


def field_behaviour(form: Form) -> dict[str, Any]:
    """Give labels, placeholders and hidden fields in the words of Airflow 2."""
    extras = {name: field.placeholder for name, field in form.extras.items() if field.placeholder}
    return {
        "hidden_fields": list(form.hidden),
        "relabeling": dict(form.labels),
        "placeholders": {**form.placeholders, **extras},
    }


def _widget(field: Field) -> Any:
    from flask_appbuilder.fieldwidgets import BS3PasswordFieldWidget, BS3TextFieldWidget
    from wtforms import BooleanField, PasswordField, StringField

    class JsonWidget(BS3TextFieldWidget):
        """Shows an object as JSON: Python's own spelling would be saved as text that is not JSON."""

        def __call__(self, field: Any, **kwargs: Any) -> Any:
            if isinstance(field.data, (dict, list)):
                field.data = json.dumps(field.data)
            return super().__call__(field, **kwargs)

    # Airflow takes these field classes and no others, not even subclasses.
    if field.kind == "boolean":
        return BooleanField(field.label, default=bool(field.default), description=field.description)
    if field.secret:
        return PasswordField(field.label, widget=BS3PasswordFieldWidget(), description=field.description)
    widget = JsonWidget() if field.kind == "object" else BS3TextFieldWidget()
    return StringField(field.label, widget=widget, description=field.description)
