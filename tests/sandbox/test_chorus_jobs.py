"""Chorus' jobs: a run with a guard against another, and a result with success or failure."""

from __future__ import annotations

import time

import pytest
import requests

NIGHTLY, TWO_STEPS, FAILING, SLOW = range(1000001, 1000005)
PUBLIC = 1000008


class Chorus:
    """The Rails side as a caller with ``requests`` sees it."""

    def __init__(self, sandbox, login=("sandbox", "sandbox-chorus-password")):
        self.api = f"{sandbox.url}/chorus/api"
        fields = dict(zip(("username", "password"), login, strict=True)) | {"session_id": "NULL"}
        answer = requests.post(f"{self.api}/sessions", data=fields, timeout=5)
        self.params = {"session_id": answer.json()["response"]["session_id"]}

    def call(self, method, path, **params):
        """One request with the session as its parameter."""
        return requests.request(method, self.api + path, params=self.params | params, timeout=10)

    def get(self, path, **params):
        """What a good answer to a GET has in its envelope."""
        answer = self.call("GET", path, **params)
        assert answer.status_code == 200, answer.text
        return answer.json()["response"]

    def status(self, job):
        """The status of a job."""
        return self.get(f"/workspaces/{PUBLIC}/jobs/{job}")["status"]

    def run(self, job):
        """Run a job to its end; the newest result."""
        assert self.call("POST", f"/jobs/{job}/run").status_code == 202
        self.until(job, "idle")
        return self.get(f"/jobs/{job}/job_results/latest")

    def until(self, job, status):
        """Wait until a job has a status."""
        deadline = time.monotonic() + 10
        while self.status(job) != status:
            assert time.monotonic() < deadline, f"the job does not become {status}"
            time.sleep(0.01)


@pytest.fixture
def chorus(sandbox):
    """A member of the workspace; jobs take as long as their SQL."""
    sandbox.settings("chorus", node_seconds=0.02, enqueued_seconds=0.02, notice_seconds=0.02, stopping_seconds=0.1)
    return Chorus(sandbox)


def test_jobs_of_a_workspace(chorus):
    """A list has no tasks, a single job has them with its owner."""
    listed = chorus.get(f"/workspaces/{PUBLIC}/jobs", order="name")
    assert [job["name"] for job in listed] == ["failing_job", "nightly_weather", "slow_job", "two_steps"]
    assert "tasks" not in listed[0]
    job = chorus.get(f"/workspaces/{PUBLIC}/jobs/{TWO_STEPS}")
    assert [(task["index"], task["action"], task["name"]) for task in job["tasks"]] == [
        (1, "run_work_flow", "Run state_airports"),
        (2, "run_work_flow", "Run many_rows"),
    ]
    assert (job["status"], job["last_run"], job["last_run_failed"], job["owner"]["id"]) == (
        "idle",
        None,
        False,
        1000006,
    )
    assert chorus.call("GET", f"/workspaces/1000009/jobs/{TWO_STEPS}").status_code == 404


def test_run_makes_a_result(sandbox, chorus):
    """202 enqueued; a second run is refused; the end is a result, an activity and a job that is idle again."""
    sandbox.settings("chorus", enqueued_seconds=0.2)
    answer = chorus.call("POST", f"/jobs/{NIGHTLY}/run")
    assert (answer.status_code, answer.json()["response"]["status"]) == (202, "enqueued")
    again = chorus.call("POST", f"/jobs/{NIGHTLY}/run")
    assert (again.status_code, again.json()) == (422, {"errors": {"fields": {"base": {"NOT_RUNNABLE": {}}}}})
    assert chorus.get(f"/jobs/{NIGHTLY}/job_results/latest") is None
    chorus.until(NIGHTLY, "idle")
    result = chorus.get(f"/jobs/{NIGHTLY}/job_results/latest")
    (task,) = result["job_task_results"]
    assert (result["succeeded"], task["status"], task["message"]) == (True, "success", None)
    assert (task["name"], task["payload_id"]) == ("Run weather_days", 1000004)
    (activity,) = chorus.get("/activities", entity_type="job", entity_id=NIGHTLY)
    assert (activity["action"], activity["job_result"]) == ("JobSucceeded", result)
    assert chorus.get(f"/workspaces/{PUBLIC}/jobs/{NIGHTLY}")["last_run"].endswith("-08:00")


def test_result_of_a_task_leads_to_the_engines_results(sandbox, chorus):
    """``payload_result_id`` is what the engine keeps the flow's results under, in both forms."""
    for style in ("process", "number"):
        sandbox.settings("chorus", result_id_style=style, result_seconds=0)
        (task,) = chorus.run(NIGHTLY)["job_task_results"]
        assert task["payload_result_id"].startswith("0.") == (style == "number")
        path = f"/workflows/1000004/results/{task['payload_result_id']}"
        root = chorus.api.removesuffix("/api") + "/alpinedatalabs/api/v1/json"
        found = requests.get(root + path, headers={"x-token": chorus.params["session_id"]}, timeout=5)
        assert '\\"status\\":\\"SUCCESS\\"' in found.text


def test_latest_is_the_jobs_own(chorus):
    """As the source of 5.4 has it; ids rise over all jobs."""
    first, second = chorus.run(NIGHTLY), chorus.run(TWO_STEPS)
    assert second["id"] > first["id"]
    assert chorus.get(f"/jobs/{NIGHTLY}/job_results/latest") == first
    assert len(second["job_task_results"]) == 2
    assert chorus.call("GET", "/jobs/1/job_results/latest").status_code == 404


def test_latest_may_ignore_the_job(sandbox, chorus):
    """With the switch the answer is the newest result of all, whatever job is asked for."""
    sandbox.settings("chorus", latest_scope="all")
    chorus.run(NIGHTLY)
    second = chorus.run(TWO_STEPS)
    assert chorus.get(f"/jobs/{NIGHTLY}/job_results/latest") == chorus.get("/jobs/1/job_results/latest") == second


@pytest.mark.parametrize("shown", [False, True])
def test_latest_may_show_a_run_that_goes_on(sandbox, chorus, shown):
    """With the switch; by itself it has only what is over."""
    sandbox.settings("chorus", latest_running=shown)
    chorus.call("POST", f"/jobs/{SLOW}/run")
    chorus.until(SLOW, "running")
    found = chorus.get(f"/jobs/{SLOW}/job_results/latest")
    assert ((found["finished_at"], found["succeeded"]) == (None, None)) if shown else found is None


def test_activities_of_a_job_may_hold_little(sandbox, chorus):
    """Only the id of the result is documented."""
    sandbox.settings("chorus", job_activities="id")
    result = chorus.run(NIGHTLY)
    (activity,) = chorus.get("/activities", entity_type="job", entity_id=NIGHTLY)
    assert (activity["action"], activity["job_result"]) == ("JobSucceeded", {"id": result["id"]})
    sandbox.settings("chorus", job_activities="denied")
    assert chorus.call("GET", "/activities", entity_type="job", entity_id=NIGHTLY).status_code == 403


def test_failure_ends_the_job(sandbox, chorus):
    """The first task that fails is the last; the next good run clears the mark."""
    result = chorus.run(FAILING)
    (task,) = result["job_task_results"]
    assert (result["succeeded"], task["status"], task["payload_result_id"]) == (False, "failure", None)
    assert "Could not convert string" in task["message"]
    assert chorus.get("/activities", entity_type="job", entity_id=FAILING)[0]["action"] == "JobFailed"
    assert chorus.get(f"/workspaces/{PUBLIC}/jobs/{FAILING}")["last_run_failed"] is True
    sandbox.settings("chorus", run_refused=True)
    assert chorus.run(NIGHTLY)["job_task_results"][0]["message"] == "RUN_FAILED"


def test_job_may_not_hear_of_a_failure(sandbox, chorus):
    """With the switch a failed flow is a task that succeeded; only the engine's results tell."""
    sandbox.settings("chorus", job_hears_failure=False)
    assert chorus.run(FAILING)["succeeded"] is True
    assert sorted(run["state"] for run in sandbox.runs("chorus") if ":" not in run["id"]) == ["failed", "succeeded"]


def test_stop_of_a_running_job(sandbox, chorus):
    """202 stopping, the flow is stopped, the result says who did it."""
    chorus.call("POST", f"/jobs/{SLOW}/run")
    chorus.until(SLOW, "running")
    answer = chorus.call("POST", f"/jobs/{SLOW}/stop")
    assert (answer.status_code, answer.json()["response"]["status"]) == (202, "stopping")
    chorus.until(SLOW, "idle")
    (task,) = chorus.get(f"/jobs/{SLOW}/job_results/latest")["job_task_results"]
    assert (task["status"], task["message"]) == ("failure", "Canceled by User")
    assert [run["state"] for run in sandbox.runs("chorus") if ":" not in run["id"]] == ["stopped"]


@pytest.mark.parametrize("enqueued", [False, True])
def test_stop_of_a_job_that_does_not_run(sandbox, chorus, enqueued):
    """An idle job is stopping for a while and cannot run; one that waits is freed without any result."""
    sandbox.settings("chorus", enqueued_seconds=0.3, stopping_seconds=0.3)
    if enqueued:
        chorus.call("POST", f"/jobs/{NIGHTLY}/run")
    assert chorus.call("POST", f"/jobs/{NIGHTLY}/stop").json()["response"]["status"] == "stopping"
    assert chorus.call("POST", f"/jobs/{NIGHTLY}/run").status_code == 422
    chorus.until(NIGHTLY, "idle")
    assert chorus.get(f"/jobs/{NIGHTLY}/job_results/latest") is None


def test_job_may_wait_for_ever(sandbox, chorus):
    """With the switch no worker ever takes it."""
    sandbox.settings("chorus", job_stuck=True)
    chorus.call("POST", f"/jobs/{NIGHTLY}/run")
    time.sleep(0.1)
    assert chorus.status(NIGHTLY) == "enqueued"


def test_log_out_during_a_job_leaves_it_running(sandbox, chorus):
    """The engine cannot report with a session that is gone."""
    sandbox.settings("chorus", node_seconds=0.2)
    chorus.call("POST", f"/jobs/{NIGHTLY}/run")
    chorus.until(NIGHTLY, "running")
    later = Chorus(sandbox)
    chorus.call("DELETE", "/sessions")
    time.sleep(0.6)
    assert later.status(NIGHTLY) == "running"


def test_jobs_want_rights_and_a_licence(sandbox, chorus):
    """403 for who is no member; without the licence, for all."""
    viewer = Chorus(sandbox, ("viewer", "sandbox-chorus-viewer-password"))
    answer = viewer.call("POST", f"/jobs/{NIGHTLY}/run")
    assert (answer.status_code, answer.json()) == (403, {"errors": {"model_data": {}}})
    assert chorus.call("POST", "/jobs/1/run").status_code == 404
    sandbox.settings("chorus", jobs_enabled=False)
    for method, path in (("GET", f"/workspaces/{PUBLIC}/jobs"), ("POST", f"/jobs/{NIGHTLY}/run")):
        answer = chorus.call(method, path)
        assert (answer.status_code, answer.json()) == (403, {"errors": {"license": "NOT_LICENSED"}})
