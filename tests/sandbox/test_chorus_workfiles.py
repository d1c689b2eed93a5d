"""Chorus' workfiles: what they look like, and the life of a run that has no id."""

from __future__ import annotations

import time

import pytest
import requests

WEATHER, SLOW, FAILING, SQL_FILE = 1000004, 1000007, 1000008, 1000014
PUBLIC, PRIVATE = 1000008, 1000010


class Chorus:
    """The Rails side as a caller with ``requests`` sees it."""

    def __init__(self, sandbox, user="sandbox"):
        self.sandbox, self.api = sandbox, f"{sandbox.url}/chorus/api"
        login = {"username": user, "password": f"sandbox-chorus-{user}-password".replace("-sandbox-p", "-p")}
        self.session_id = self.call("POST", "/sessions", session_id="NULL", data=login).json()["response"]["session_id"]

    def call(self, method, path, *, session_id=None, data=None, **params):
        """One request with the session as its parameter."""
        params["session_id"] = session_id or self.session_id
        return requests.request(method, self.api + path, params=params, data=data, timeout=10)

    def get(self, path, **params):
        """The content of a good answer to a GET."""
        answer = self.call("GET", path, **params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def status(self, number):
        """The status of a workfile."""
        return self.get(f"/workfiles/{number}")["response"]["status"]

    def run(self, number):
        """Run a workfile; the status that is answered."""
        answer = self.call("POST", f"/workfiles/{number}/run")
        assert answer.status_code == 202, answer.text
        return answer.json()["response"]["status"]

    def results(self, number, **params):
        """The activities of a workfile's results, newest first."""
        return self.get("/activities", entity_type="workfile", entity_id=number, results_only="true", **params)

    def idle(self, number):
        """Wait until a workfile is idle."""
        eventually(lambda: self.status(number) == "idle")


@pytest.fixture
def chorus(sandbox):
    """A member of the workspaces; flows take as long as their SQL."""
    sandbox.settings("chorus", node_seconds=0.02, result_seconds=0)
    return Chorus(sandbox)


def processes(sandbox):
    """The states of the engine's processes, oldest first."""
    return [run["state"] for run in sandbox.runs("chorus") if ":" not in run["id"]]


def eventually(holds):
    """Wait until something holds."""
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline, "it does not come to that"
        time.sleep(0.01)


def ended(sandbox):
    """Wait until every process has ended; their states."""
    eventually(lambda: "running" not in processes(sandbox))
    return processes(sandbox)


def test_workfile_has_the_fields_of_the_vendors_page(chorus):
    """The keys are those of the documented sample; times of its version come with GET only."""
    found = chorus.get(f"/workfiles/{WEATHER}")["response"]
    assert set(found) == {
        "id", "workspace", "file_name", "file_type", "latest_version_id", "is_deleted", "recent_comments",
        "comment_count", "tags", "entity_type", "entity_subtype", "user_modified_at", "status", "description",
        "link_url", "owner", "associated_worklets", "version_info", "execution_locations", "dataset_ids",
        "complete_json",
    }  # fmt: skip
    assert (found["file_name"], found["file_type"], found["entity_subtype"]) == ("weather_days", "work_flow", "alpine")
    assert (found["workspace"]["id"], found["workspace"]["name"], found["status"]) == (PUBLIC, "Public", "idle")
    started = chorus.call("POST", f"/workfiles/{WEATHER}/run").json()["response"]
    assert set(found) - set(started) == {"version_info"}


def test_run_goes_from_idle_over_running_to_idle(chorus):
    """202 with ``running`` and no id of the run; its end leaves an activity with the result's id, but no verdict."""
    assert chorus.results(WEATHER)["response"] == []
    assert chorus.run(WEATHER) == "running"
    chorus.idle(WEATHER)
    (activity,) = chorus.results(WEATHER)["response"]
    assert (activity["action"], activity["actor"]["username"]) == ("WorkfileResult", "sandbox")
    assert activity["workfile"] == {"id": WEATHER, "file_name": "weather_days", "status": "idle"}
    (attachment,) = activity["attachments"]
    process = next(run["id"] for run in chorus.sandbox.runs("chorus"))
    assert attachment == {
        "entity_type": "work_flow_result", "id": process, "workfile_id": WEATHER, "model": {},
    }  # fmt: skip


def test_failure_looks_like_success(sandbox, chorus):
    """A failed run is idle again, with an activity like any other; whether there is one is a switch."""
    chorus.run(FAILING)
    chorus.idle(FAILING)
    assert ended(sandbox) == ["failed"]
    assert [one["action"] for one in chorus.results(FAILING)["response"]] == ["WorkfileResult"]
    sandbox.settings("chorus", failed_run_activity=False)
    chorus.run(FAILING)
    chorus.idle(FAILING)
    assert chorus.results(FAILING)["pagination"]["records"] == 1


def test_body_of_a_run_is_ignored(sandbox, chorus):
    """Variables cannot be given here."""
    body = {"variables": '[{"name": "@min_temp", "value": "99"}]'}
    assert chorus.call("POST", f"/workfiles/{WEATHER}/run", data=body).status_code == 202
    assert sandbox.runs("chorus")[0]["parameters"]["@min_temp"] == "-10"


def test_nothing_guards_against_a_second_run(sandbox, chorus):
    """A second run starts; stop reaches the newest only, and the status is idle while the first still runs."""
    assert [chorus.run(SLOW), chorus.run(SLOW)] == ["running", "running"]
    stopped = chorus.call("POST", f"/workfiles/{SLOW}/stop")
    assert (stopped.status_code, stopped.json()["response"]["status"]) == (202, "idle")
    eventually(lambda: processes(sandbox) == ["running", "stopped"])
    assert chorus.status(SLOW) == "idle"
    assert chorus.results(SLOW)["response"] == []


def test_stop_of_an_idle_flow_is_accepted(sandbox, chorus):
    """202 and idle; a refusal of the engine leaves the status as it is."""
    answer = chorus.call("POST", f"/workfiles/{WEATHER}/stop")
    assert (answer.status_code, answer.json()["response"]["status"]) == (202, "idle")
    chorus.run(SLOW)
    sandbox.settings("chorus", stop_refused=True)
    answer = chorus.call("POST", f"/workfiles/{SLOW}/stop")
    assert (answer.status_code, answer.json()["response"]["status"]) == (202, "running")


def test_run_of_a_sql_file_pretends(sandbox, chorus):
    """202 with the status unchanged, and nothing runs."""
    assert chorus.run(SQL_FILE) == "idle"
    assert sandbox.runs("chorus") == []


def test_short_flow_may_stay_running_for_ever(sandbox, chorus):
    """The end was reported before ``running`` was written; an editor can write ``idle`` by hand."""
    sandbox.settings("chorus", race=True)
    assert chorus.run(WEATHER) == "running"
    assert len(chorus.results(WEATHER)["response"]) == 1
    time.sleep(0.05)
    assert chorus.status(WEATHER) == "running"
    freed = chorus.call("PUT", f"/workfiles/{WEATHER}", data={"workfile[status]": "idle"})
    assert (freed.status_code, freed.json()["response"]["status"]) == (200, "idle")


def test_flow_can_be_stuck(sandbox, chorus):
    """The engine's report can be lost: the flow has ended, its workfile runs for ever."""
    sandbox.settings("chorus", stuck_running=True)
    chorus.run(WEATHER)
    assert ended(sandbox) == ["succeeded"]
    assert (chorus.status(WEATHER), chorus.results(WEATHER)["response"]) == ("running", [])


def test_log_out_during_a_run_leaves_it_running(sandbox, chorus):
    """The engine reports with the user's first session; when that is gone, nobody hears of the end."""
    sandbox.settings("chorus", node_seconds=0.2)
    chorus.run(WEATHER)
    later = Chorus(sandbox)
    chorus.call("DELETE", "/sessions")
    assert ended(sandbox) == ["succeeded"]
    assert (later.status(WEATHER), later.results(WEATHER)["response"]) == ("running", [])


def test_log_out_of_a_later_session_does_no_harm(sandbox, chorus):
    """Only the first session counts."""
    later = Chorus(sandbox)
    later.run(WEATHER)
    later.call("DELETE", "/sessions")
    chorus.idle(WEATHER)
    assert len(chorus.results(WEATHER)["response"]) == 1


def test_activities_are_filtered_by_user(sandbox, chorus):
    """Another member's run is an activity of the same workfile by another actor; ids rise."""
    chorus.run(WEATHER)
    chorus.idle(WEATHER)
    Chorus(sandbox, "colleague").run(WEATHER)
    chorus.idle(WEATHER)
    both = chorus.results(WEATHER)["response"]
    assert [one["actor"]["username"] for one in both] == ["colleague", "sandbox"]
    assert both[0]["id"] > both[1]["id"]
    assert [one["id"] for one in chorus.results(WEATHER, current_user_only="true")["response"]] == [both[1]["id"]]


def test_activity_may_come_after_idle(sandbox, chorus):
    """What the engine reports first is not known, so the activity's delay is a switch; so is the form of its id."""
    sandbox.settings("chorus", activity_seconds=0.4, result_id_style="number")
    chorus.run(WEATHER)
    chorus.idle(WEATHER)
    assert chorus.results(WEATHER)["response"] == []
    eventually(lambda: chorus.results(WEATHER)["response"])
    assert chorus.results(WEATHER)["response"][0]["attachments"][0]["id"] == "0.0000001"


@pytest.mark.parametrize(
    ("settings", "status", "errors"),
    [({"run_refused": True}, 422, {"record": "RUN_FAILED"}), ({"engine_down": True}, 500, None),
     ({"workflow_enabled": False}, 500, None)],
)  # fmt: skip
def test_engine_that_does_not_run(sandbox, chorus, settings, status, errors):
    """A refusal of the engine is 422; no engine and no licence are Rails' page for 500."""
    sandbox.settings("chorus", **settings)
    answer = chorus.call("POST", f"/workfiles/{WEATHER}/run")
    assert answer.status_code == status
    if errors:
        assert answer.json() == {"errors": errors}
    else:
        assert answer.headers["Content-Type"].startswith("text/html")
    assert chorus.status(WEATHER) == "idle"


def test_credentials_of_the_database_are_tried_on_demand(sandbox, chorus):
    """``connect=true`` is 403 with the data source when the user's account there is refused."""
    assert chorus.call("GET", f"/workfiles/{WEATHER}", connect="true").status_code == 200
    sandbox.settings("chorus", data_source_credentials=False)
    assert chorus.call("GET", f"/workfiles/{WEATHER}").status_code == 200
    answer = chorus.call("GET", f"/workfiles/{WEATHER}", connect="true")
    source = {"id": 1000002, "entity_type": "gpdb_data_source"}
    assert answer.status_code == 403
    assert answer.json() == {"errors": {"record": "INVALID_CREDENTIALS", "model_data": source}}


def test_who_is_no_member_may_look_but_not_run(sandbox, chorus):
    """A public workspace is readable; running, stopping and a private workspace are forbidden without a reason."""
    viewer = Chorus(sandbox, "viewer")
    assert viewer.status(WEATHER) == "idle"
    for method, path in (("POST", "/workfiles/1000004/run"), ("POST", "/workfiles/1000004/stop"),
                         ("PUT", "/workfiles/1000004"), ("GET", "/workfiles/1000030"),
                         ("GET", f"/workspaces/{PRIVATE}/workfiles")):  # fmt: skip
        answer = viewer.call(method, path)
        assert (answer.status_code, answer.json()) == (403, {"errors": {"model_data": {}}})
