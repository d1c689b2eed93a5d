"""An Airflow connection: what it may hold, and that every bad value names connection and field."""

from __future__ import annotations

import pytest

from airflow_workflow_provider.exceptions import InvalidConnection
from airflow_workflow_provider.protocol.connection import ConnectionValues, is_loopback


def values(**fields):
    """A connection named ``c`` that is complete but for these fields."""
    return ConnectionValues("c", **{"host": "https://api.example.com", "password": "secret-token", **fields})


@pytest.mark.parametrize(
    ("fields", "url"),
    [
        ({"host": "https://api.example.com"}, "https://api.example.com"),
        ({"host": "https://api.example.com/"}, "https://api.example.com"),
        ({"host": " https://example.com/carto/api/ "}, "https://example.com/carto/api"),
        ({"host": "https://example.com:8443/prefix"}, "https://example.com:8443/prefix"),
        ({"host": "https://example.com/prefix", "port": 8443}, "https://example.com:8443/prefix"),
        ({"host": "https://example.com:1", "port": 2}, "https://example.com:1"),
        ({"host": "example.com"}, "https://example.com"),
        ({"host": "example.com", "schema": "", "port": None}, "https://example.com"),
        ({"host": "example.com", "schema": "https", "port": 8443}, "https://example.com:8443"),
        ({"host": "example.com/webapi"}, "https://example.com/webapi"),
        ({"host": "example.com:9000"}, "https://example.com:9000"),
        ({"host": "HTTPS://Example.com"}, "https://example.com"),
        ({"host": "localhost", "schema": "http", "port": 8900}, "http://localhost:8900"),
        ({"host": "http://127.0.0.1:8900/carto"}, "http://127.0.0.1:8900/carto"),
        ({"host": "http://[::1]:8900/carto"}, "http://[::1]:8900/carto"),
        ({"host": "https://[2001:db8::1]", "port": 8443}, "https://[2001:db8::1]:8443"),
        ({"host": "http://intranet", "extra": {"allow_http": True}}, "http://intranet"),
        ({"host": "intranet", "schema": "http", "extra": {"allow_http": "true"}}, "http://intranet"),
    ],
)
def test_the_base_url_comes_from_host_schema_and_port(fields, url):
    """A full URL keeps its path prefix; a bare name is completed, with https unless told otherwise."""
    assert values(**fields).base_url() == url


def test_an_empty_host_takes_the_default_of_its_system():
    assert values(host="").base_url("https://stevesie.com/cloud/api/v1") == "https://stevesie.com/cloud/api/v1"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"host": ""}, "host"),
        ({"host": "   "}, "host"),
        ({"host": "ftp://example.com"}, "host"),
        ({"host": "https://"}, "host"),
        ({"host": "https:///path"}, "host"),
        ({"host": "not a host"}, "host"),
        ({"host": "https://exa mple.com"}, "host"),
        ({"host": "<host>"}, "host"),
        ({"host": "https://example.com:abc"}, "host"),
        ({"host": "https://example.com:99999"}, "host"),
        ({"host": "https://[::1"}, "host"),
        ({"host": "https://user:pass@example.com"}, "host"),
        ({"host": "https://example.com?a=1"}, "host"),
        ({"host": "https://example.com#top"}, "host"),
        ({"host": "http://example.com"}, "host"),
        ({"host": "http://127.0.0.1.example.com"}, "host"),
        ({"host": "http://example.com", "extra": {"allow_http": "no"}}, "host"),
        ({"host": "http://example.com", "extra": {"allow_http": "perhaps"}}, "allow_http"),
        ({"host": "example.com", "schema": "ftp"}, "schema"),
        ({"host": "example.com", "port": 70000}, "port"),
        ({"host": "example.com", "port": -1}, "port"),
    ],
)
def test_a_bad_address_names_connection_and_field(fields, field):
    """Also plain http is refused, since it would show the secret to the network; loopback is this machine."""
    with pytest.raises(InvalidConnection, match=f"connection 'c', field '{field}'"):
        values(**fields).base_url()


@pytest.mark.parametrize(
    "host",
    [
        "https://user:hunter22@example.com",
        "https://user:hunter22 @example.com",
        "https://user:hunter22^@example.com",
        "https://user:hun@ter22@example.com:99999",
        "https://user:hunter22@",
        "ftp://user:hunter22@example.com",
        "http://user:hunter22/@example.com",
        "user:hunter22@exa mple.com",
    ],
)
def test_an_address_that_holds_a_password_is_refused_without_showing_it(host):
    with pytest.raises(InvalidConnection, match="field 'host'") as caught:
        values(host=host).base_url()
    assert "ter22" not in str(caught.value)
    assert "hunter22" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "loopback"),
    [
        ("localhost", True), ("sub.localhost", True), ("127.0.0.1", True), ("127.8.9.1", True), ("::1", True),
        ("example.com", False), ("10.0.0.1", False), ("127.0.0.1.example.com", False), ("notlocalhost", False),
    ],
)  # fmt: skip
def test_loopback_is_this_machine_only(name, loopback):
    assert is_loopback(name) is loopback


@pytest.mark.parametrize(
    ("extra", "different"),
    [
        ({}, {}),
        ({"verify": "", "timeout": "", "proxies": ""}, {}),
        ({"verify": None, "timeout": None, "proxies": None}, {}),
        ({"verify": False}, {"verify": False}),
        ({"verify": "false"}, {"verify": False}),
        ({"verify": " False "}, {"verify": False}),
        ({"verify": "0"}, {"verify": False}),
        ({"verify": "true"}, {}),
        ({"timeout": 5}, {"timeout": 5.0}),
        ({"timeout": "2.5"}, {"timeout": 2.5}),
        ({"proxies": {"https": "http://proxy:3128"}}, {"proxies": {"https": "http://proxy:3128"}}),
        ({"proxies": '{"https": "http://proxy:3128"}'}, {"proxies": {"https": "http://proxy:3128"}}),
        ({"proxies": {"https": "", "http": None}}, {}),
    ],
    ids=repr,
)
def test_the_transport_is_read_from_values_and_from_text(extra, different):
    """In a connection that was given as a URI every extra is text."""
    made = values(extra=extra).transport()
    found = {"verify": made.verify, "timeout": made.timeout, "proxies": dict(made.proxies)}
    assert found == {"verify": True, "timeout": 30.0, "proxies": {}} | different


def test_verify_may_name_a_ca_file(tmp_path):
    bundle = tmp_path / "ca.pem"
    bundle.write_text("")
    assert values(extra={"verify": str(bundle)}).transport().verify == str(bundle)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("timeout", 0),
        ("timeout", -1),
        ("timeout", "soon"),
        ("timeout", True),
        ("timeout", "inf"),
        ("timeout", "nan"),
        ("timeout", "1e300"),
        ("timeout", []),
        ("proxies", "not json"),
        ("proxies", "[]"),
        ("proxies", ["http://proxy"]),
        ("proxies", 5),
        ("proxies", {"https": 5}),
        ("proxies", {"https": {"url": "x"}}),
        ("verify", {"a": 1}),
        ("verify", 2),
    ],
)
def test_a_bad_extra_names_connection_and_field(field, value):
    with pytest.raises(InvalidConnection, match=f"connection 'c', field '{field}'"):
        values(extra={field: value}).transport()


def test_a_proxy_that_cannot_be_used_is_refused_without_showing_its_password():
    """Otherwise every request would fail, and a start would leave everybody wondering whether it was taken."""
    with pytest.raises(InvalidConnection, match="field 'proxies'") as caught:
        values(extra={"proxies": {"https": "gopher://user:hunter22@proxy:1"}}).transport()
    assert "hunter22" not in str(caught.value)


@pytest.mark.parametrize("value", ["", "   ", None])
def test_a_missing_secret_names_its_field(value):
    with pytest.raises(InvalidConnection, match="connection 'c', field 'password': is empty"):
        values().secret("password", value)


def test_blanks_around_a_secret_are_a_slip_of_copying():
    assert values().secret("password", " secret-token\n") == "secret-token"


@pytest.mark.parametrize(
    ("value", "text"), [(None, "default"), ("", "default"), ("  ", "default"), (" x ", "x"), (5, "5"), (1.5, "1.5")]
)
def test_a_text_has_no_blanks_around_it(value, text):
    assert values(extra={"name": value}).text("name", "default") == text


@pytest.mark.parametrize("value", [True, [], {"a": 1}])
def test_a_text_that_is_none_names_its_field(value):
    with pytest.raises(InvalidConnection, match="connection 'c', field 'name'"):
        values(extra={"name": value}).text("name")


def test_a_choice_lists_what_there_is():
    made = values(extra={"warehouse": "Mongo", "other": " Snowflake "})
    assert made.choice("other", ("bigquery", "snowflake"), "bigquery") == "snowflake"
    with pytest.raises(InvalidConnection, match="field 'warehouse': expected one of bigquery, snowflake, not 'mongo'"):
        made.choice("warehouse", ("bigquery", "snowflake"), "bigquery")


def test_its_text_form_shows_no_secret():
    shown = repr(values(password="hunter22", extra={"read_token": "hunter33"}))
    assert "hunter" not in shown


@pytest.mark.parametrize(
    "host", ["\0api.example.com", "api.example.com/\ud800", "https://api.example.com/\u202e", "a\x1bb"]
)
def test_a_host_holds_no_character_that_is_not_shown(host):
    with pytest.raises(InvalidConnection, match="field 'host'"):
        values(host=host).base_url()


@pytest.mark.parametrize("name", ["timeout", "max_answer_bytes"])
@pytest.mark.parametrize("number", [10**400, -(10**5000), "1e999", "9" * 5000], ids=["400", "5000", "1e999", "text"])
def test_a_number_without_end_is_refused_by_its_field(name, number):
    with pytest.raises(InvalidConnection, match=f"field '{name}'") as refused:
        values(extra={name: number}).number(name, 1.0)
    assert len(str(refused.value)) < 300
