"""The results of the sandbox's Stevesie executions: real rows in files on another host, by URLs that expire."""

from __future__ import annotations

import csv
import io
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests
import vega_datasets

TOKEN = "5e7e51e0-0000-4000-8000-00000000cafe"
PRICES, WEATHER, USERS, MANY, ECHO = (f"5e7e51e0-0001-4000-8000-00000000000{at}" for at in (1, 2, 3, 4, 5))
SYMBOLS = "5e7e51e0-0003-4000-8000-000000000001"
DATA = Path(vega_datasets.__file__).parent / "_data"


def read(name):
    """The rows of one of the data files that the workflows find."""
    with (DATA / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


class Account:
    """The API and its files as a caller with ``requests`` sees them."""

    def __init__(self, sandbox, session):
        self.sandbox, self.session, self.base = sandbox, session, f"{sandbox.url}/stevesie/cloud/api/v1"

    def execution(self, execution):
        """An execution as the API shows it."""
        url = f"{self.base}/workflows/executions/{execution}"
        return self.session.get(url, headers={"Token": TOKEN}, timeout=5).json()["object"]

    def urls(self, workflow, parameters=None, **body):
        """Run a workflow to its end; the execution's id and the URLs of its results."""
        whole = {"proxy": {"type": "shared", "location": "nyc"}, "execution_parameters": parameters or {}} | body
        url = f"{self.base}/workflows/{workflow}/executions"
        execution = self.session.post(url, json=whole, headers={"Token": TOKEN}, timeout=5).json()["object"]["id"]
        deadline = time.monotonic() + 10
        while next(run["state"] for run in self.sandbox.runs("stevesie") if run["id"] == execution) == "running":
            assert time.monotonic() < deadline, "the execution does not end"
            time.sleep(0.005)
        return execution, [one["url"] for one in self.execution(execution)["results"]]

    def rows(self, workflow, parameters=None, **body):
        """The rows of the first result as CSV."""
        _, (url, *_) = self.urls(workflow, parameters, **body)
        answer = self.session.get(url, timeout=5)
        assert answer.status_code == 200, answer.text
        return list(csv.DictReader(io.StringIO(answer.text)))


@pytest.fixture
def account(sandbox):
    """A caller; executions are as fast as their work."""
    sandbox.settings("stevesie", running_seconds=0)
    with requests.Session() as session:
        yield Account(sandbox, session)


def test_collection_is_the_input(account):
    """One request per item: the rows are those of all symbols, in the collection's order."""
    found = account.rows(PRICES)
    expected = sorted(read("stocks"), key=lambda one: one["symbol"])
    assert list(found[0]) == ["results.symbol", "results.date", "results.timestamp", "results.price"]
    assert [(one["results.symbol"], float(one["results.price"])) for one in found] == [
        (one["symbol"], float(one["price"])) for one in expected
    ]


def test_changed_collection_changes_the_rows(account):
    """An execution takes the items that are there when it starts."""
    url = f"{account.base}/collections/{SYMBOLS}"
    body = {"method": "remove", "items": ["AAPL", "AMZN", "IBM", "MSFT"]}
    account.session.post(url, json=body, headers={"Token": TOKEN}, timeout=5)
    assert {one["results.symbol"] for one in account.rows(PRICES)} == {"GOOG"}


def test_window_and_override(account):
    """The timestamps filter, the first is inside and the last is not; a parameter overrides the collection."""
    window = {"min_timestamp": 1230768000, "max_timestamp": 1238544000}
    found = account.rows(PRICES, window | {"symbol": ["MSFT", "IBM"]})
    assert [(one["results.symbol"], one["results.date"]) for one in found] == [
        (symbol, f"2009-0{month}-01") for symbol in ("MSFT", "IBM") for month in (1, 2, 3)
    ]
    assert {one["results.symbol"] for one in account.rows(PRICES, {"symbol": "GOOG"})} == {"GOOG"}


def test_maximum_of_requests_bounds_the_rows(account):
    """One request is one input, or a hundred of the many rows."""
    assert {one["results.symbol"] for one in account.rows(PRICES, maximum_requests_count=2)} == {"AAPL", "AMZN"}
    assert [one["results.user_id"] for one in account.rows(USERS, maximum_requests_count=1)] == ["43823188"]
    assert len(account.rows(MANY, {"rows": 1000}, maximum_requests_count=3)) == 300
    _, urls = account.urls(PRICES, maximum_requests_count=0)
    assert urls == []


def test_several_results(account):
    """One file per collection of the responses; the URL's last part names it."""
    _, urls = account.urls(WEATHER, {"year": "2012"})
    assert [urlsplit(url).path.rpartition("/")[2] for url in urls] == ["results.csv", "results.days.csv"]
    months, days = (list(csv.DictReader(io.StringIO(account.session.get(url, timeout=5).text))) for url in urls)
    source = [one for one in read("seattle-weather") if one["date"].startswith("2012")]
    assert [float(one["results.days.temp_max"]) for one in days] == [float(one["temp_max"]) for one in source]
    assert [int(one["results.days_count"]) for one in months] == [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
    january = [one for one in source if one["date"] < "2012/02"]
    assert float(months[0]["results.extremes[0]"]) == max(float(one["temp_max"]) for one in january)
    assert float(months[0]["results.extremes[1]"]) == min(float(one["temp_min"]) for one in january)


def test_json_is_a_list_of_flat_objects(account):
    """Its keys lack the collection's path."""
    _, urls = account.urls(WEATHER, {"year": "2015"}, output_aggregation_format="json")
    assert [urlsplit(url).path.rpartition("/")[2] for url in urls] == ["results.json", "results.days.json"]
    months = account.session.get(urls[0], timeout=5).json()
    assert len(months) == 12
    assert months[0] == {"year": 2015, "month": 1, "days_count": 31, "extremes[0]": 17.2, "extremes[1]": -3.2}


def test_many_rows(account):
    """As many as asked for, in order, a second apart."""
    found = account.rows(MANY, {"rows": 5000, "min_timestamp": 1704067201})
    assert [int(one["results.id"]) for one in found] == list(range(1, 5000))
    assert found[0]["results.iata"] == read("airports")[1]["iata"] == found[3376]["results.iata"]
    assert found[-1]["results.timestamp"] == str(1704067200 + 4999)


def test_echo_shows_what_arrived(account):
    """Parameters first, then the other fields; text as it is, the rest as JSON."""
    found = account.rows(ECHO, {"label": "a, b", "n": [1, None]}, maximum_requests_count=9, do_proxy_hot_swap=True)
    assert {one["results.name"]: one["results.value"] for one in found} == {
        "label": "a, b",
        "n": "[1, null]",
        "proxy.type": "shared",
        "proxy.location": "nyc",
        "maximum_requests_count": "9",
        "output_aggregation_format": "csv",
        "do_proxy_hot_swap": "true",
    }


def test_empty_file(account):
    """Zero rows leave no result, or a file with its header only."""
    assert account.urls(PRICES, {"symbol": "NONE"})[1] == []
    account.sandbox.settings("stevesie", empty_files=True)
    _, (url,) = account.urls(PRICES, {"symbol": "NONE"})
    assert account.session.get(url, timeout=5).text == "results.symbol,results.date,results.timestamp,results.price\n"


def test_files_are_on_another_host(account):
    """The URL's authority is not the API's, whichever name the API is called by."""
    execution, (url,) = account.urls(ECHO)
    assert (urlsplit(account.base).hostname, urlsplit(url).hostname) == ("127.0.0.1", "localhost")
    other = account.base.replace("127.0.0.1", "localhost") + f"/workflows/executions/{execution}"
    body = account.session.get(other, headers={"Token": TOKEN}, timeout=5).json()["object"]
    assert urlsplit(body["results"][0]["url"]).hostname == "127.0.0.1"
    account.sandbox.settings("stevesie", files_base_url="https://files.example")
    assert account.execution(execution)["results"][0]["url"].startswith("https://files.example/results/")


def test_credentials_of_the_api_are_refused(account):
    """The other host wants neither the token nor any other authorisation."""
    _, (url,) = account.urls(ECHO)
    assert account.session.get(url, headers={"Token": TOKEN}, timeout=5).status_code == 403
    assert account.session.get(url, headers={"Authorization": "Bearer x"}, timeout=5).status_code == 400
    assert account.session.get(url, timeout=5).headers["content-type"].startswith("text/csv")


def test_signature_protects_the_url(account):
    """A URL without its query, or for another file, is refused."""
    _, (results, days) = account.urls(WEATHER, {"year": "2012"})
    path, query = results.partition("?")[0], days.partition("?")[2]
    for url in (path, f"{path}?{query}", f"{results}0"):
        answer = account.session.get(url, timeout=5)
        assert (answer.status_code, answer.headers["content-type"].partition(";")[0]) == (403, "application/xml")


@pytest.mark.parametrize("status", [403, 404, 410])
def test_urls_expire(account, status):
    """After its time a URL is refused; each look at the execution gives a fresh one."""
    account.sandbox.settings("stevesie", url_seconds=0.1, expired_status=status)
    execution, (url,) = account.urls(ECHO)
    time.sleep(0.15)
    assert account.session.get(url, timeout=5).status_code == status
    account.sandbox.settings("stevesie", url_seconds=60)
    first, second = (account.execution(execution)["results"][0]["url"] for _ in range(2))
    assert first != second
    assert account.session.get(first, timeout=5).text == account.session.get(second, timeout=5).text


def test_url_may_hide_the_name(account):
    """Then only the result's id tells files apart."""
    account.sandbox.settings("stevesie", file_names="id")
    execution, (url,) = account.urls(ECHO)
    result = account.execution(execution)["results"][0]
    assert urlsplit(url).path.endswith(f"/{result['id']}.csv")
    assert account.session.get(url, timeout=5).status_code == 200


def test_journal_hides_the_signature(account):
    """The sandbox's log of requests tells the files' requests apart, without what would open them."""
    _, (url,) = account.urls(ECHO)
    account.session.get(url, timeout=5)
    entry = account.sandbox.requests("stevesie")[-1]
    assert (entry["path"].startswith("/results/"), entry["status"]) == (True, 200)
    assert url.rpartition("Signature=")[2] not in entry["query"]
