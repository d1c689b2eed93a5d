"""Airflow 2.11's connection forms, as its own provider manager reads them."""

from __future__ import annotations

import json
import warnings

import pytest

from airflow_workflow_provider.systems import SYSTEMS
from scripts.airflow_home import AIRFLOW_3

pytestmark = pytest.mark.skipif(AIRFLOW_3, reason="Airflow 3 reads its forms from the provider's information")


@pytest.fixture(scope="module")
def manager():
    from airflow.providers_manager import ProvidersManager

    made = ProvidersManager()
    made._cleanup()  # another test may have made it when a warning of Flask's kept hooks from being read
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert made.connection_form_widgets
    return made


@pytest.mark.parametrize("key", SYSTEMS)
def test_every_field_is_in_the_form(manager, key):
    form = SYSTEMS[key].form
    found = {
        name.removeprefix(f"extra__{key}__"): one
        for name, one in manager.connection_form_widgets.items()
        if name.startswith(f"extra__{key}__")
    }
    assert list(found) == list(form.extras)
    for name, field in form.extras.items():
        made = found[name].field
        assert made.args[0] == field.label
        assert made.kwargs["description"] == field.description
        assert (made.field_class.__name__ == "PasswordField") is field.secret is found[name].is_sensitive
    behaviour = manager.field_behaviours[key]
    assert behaviour["hidden_fields"] == list(form.hidden)
    assert behaviour["relabeling"] == dict(form.labels)
    shown = {name: field.placeholder for name, field in form.extras.items() if field.placeholder}
    extras = {f"extra__{key}__{name}": text for name, text in shown.items()}
    assert behaviour["placeholders"] == {**form.placeholders, **extras}
    assert manager.hooks[key].connection_testable


def test_an_object_is_shown_as_json(manager):
    """What the form shows is what it saves."""
    from wtforms import Form

    field = manager.connection_form_widgets["extra__stevesie__proxy"].field
    form = type("OneField", (Form,), {"proxy": field})()
    form.proxy.data = {"type": "shared", "location": "nyc"}
    form.proxy()
    assert json.loads(form.proxy.data) == {"type": "shared", "location": "nyc"}
