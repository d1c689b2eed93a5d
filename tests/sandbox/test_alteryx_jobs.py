"""The jobs of the sandbox's Alteryx Server: their states, ends and lists, and how they are cancelled."""

from __future__ import annotations

import time

import pytest
import requests

DEMO, UPLOAD, FAILING, SLOW, NEVER = (f"5f0e2c0000000000000000{at}" for at in ("0d", "08", "09", "0a", "0b"))
STATES = ("queued", "running", "success", "error", "cancelled")


class Server:
    """An Alteryx Server as the holder of a token sees it."""

    def __init__(self, sandbox, session, role=""):
        self.sandbox, self.session, self.base = sandbox, session, f"{sandbox.url}/alteryx/webapi"
        form = {"grant_type": "client_credentials", "client_id": f"sandbox-alteryx-{role}key"}
        form["client_secret"] = f"sandbox-alteryx-{role}secret"
        answer = session.post(f"{self.base}/oauth2/token", data=form, timeout=5)
        self.headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}

    def send(self, method, path, **more):
        """One request."""
        return self.session.request(method, self.base + path, headers=self.headers, timeout=5, **more)

    def get(self, path, **query):
        """The JSON of a GET that must succeed."""
        answer = self.send("GET", path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def start(self, app, **answers):
        """Start a job with answers by question; its id."""
        questions = [{"name": name, "value": value} for name, value in answers.items()]
        return self.send("POST", f"/v3/workflows/{app}/jobs", json={"questions": questions}).json()["id"]

    def state(self, job):
        """What the sandbox itself knows."""
        return next(run["state"] for run in self.sandbox.runs("alteryx") if run["id"] == job)

    def until(self, job, *states):
        """The job's V3 answer once it is in one of these states."""
        deadline = time.monotonic() + 10
        while self.state(job) not in states:
            assert time.monotonic() < deadline, f"the job becomes none of {states}"
            time.sleep(0.005)
        return self.get(f"/v3/jobs/{job}")

    def ended(self, app, **answers):
        """Run an app to its end; the job's V3 answer."""
        return self.until(self.start(app, **answers), "success", "error")

    def cancel(self, job):
        """``DELETE`` of a job."""
        return self.send("DELETE", f"/v3/jobs/{job}")


@pytest.fixture
def session():
    """Connections that the test's callers share."""
    with requests.Session() as made:
        yield made


@pytest.fixture
def server(sandbox, session):
    """A caller who is no curator; jobs are as fast as their work."""
    sandbox.settings("alteryx", queued_seconds=0, running_seconds=0)
    return Server(sandbox, session)


def test_states_follow_each_other(server):
    """Queued, Running, Completed; the disposition is None until the end."""
    server.sandbox.settings("alteryx", queued_seconds=0.15, running_seconds=0.15)
    job, seen = server.start(DEMO), []
    while not seen or seen[-1][0] != "Completed":
        body = server.get(f"/v3/jobs/{job}")
        seen += [(body["status"], body["disposition"])] if (body["status"], body["disposition"]) not in seen else []
        time.sleep(0.01)
    assert seen == [("Queued", "None"), ("Running", "None"), ("Completed", "Success")]


def test_completed_is_not_success(server):
    """An app that lacks its inputs completes with disposition Error and says why, as a recorded job did."""
    job = server.ended(UPLOAD)
    assert (job["status"], job["disposition"], job["outputs"]) == ("Completed", "Error", [])
    assert [(one["status"], one["toolId"]) for one in job["messages"]] == [(3, 694), (3, 694), (3, 694), (1, -1)]
    assert job["messages"][0]["text"] == "Must especify a bucket. Please connect with API input parameter."
    whole = server.ended(UPLOAD, bucket="b", **{"s3 keys": "k"}, environment="e")
    assert (whole["disposition"], whole["outputs"], len(whole["messages"])) == ("Success", [], 1)


def test_failing_says_what_it_was_told(server):
    """The question's answer is the error; a wrong number of seconds is one as well."""
    assert server.ended(FAILING, Message="No such table")["messages"] == [
        {"status": 3, "text": "No such table", "toolId": 12}
    ]
    assert server.ended(SLOW, Seconds="long")["disposition"] == "Error"


@pytest.mark.parametrize(("outcome", "disposition"), [("success", "Success"), ("error", "Error")])
def test_outcome_of_every_job(server, outcome, disposition):
    """The switch wins over what the app would do."""
    server.sandbox.settings("alteryx", outcome=outcome)
    assert [server.ended(app)["disposition"] for app in (DEMO, UPLOAD)] == [disposition] * 2


def test_job_without_end(server):
    """It stays Running, by its app or by the switch."""
    jobs = [server.start(NEVER)]
    server.sandbox.settings("alteryx", outcome="never")
    jobs.append(server.start(DEMO))
    time.sleep(0.1)
    assert [server.get(f"/v3/jobs/{job}")["status"] for job in jobs] == ["Running", "Running"]


def test_words_on_the_wire(server):
    """Status and disposition may be words that nobody knows."""
    server.sandbox.settings("alteryx", running_word="Initializing", success_disposition="Warning")
    job = server.start(NEVER)
    assert server.until(job, "running")["status"] == "Initializing"
    assert server.ended(DEMO)["disposition"] == "Warning"


def test_cancel_a_running_job(server):
    """200 without a body; the job says Cancelled and stays so. A job that has ended is refused."""
    job = server.start(SLOW)
    server.until(job, "running")
    answer = server.cancel(job)
    assert (answer.status_code, answer.content) == (200, b"")
    assert server.get(f"/v3/jobs/{job}")["status"] == "Cancelled"
    assert server.cancel(job).status_code == 400
    assert server.cancel("5f0e2c0000000000000000ff").status_code == 404


def test_cancel_a_queued_job(server):
    """It is deleted, unless the switch keeps it."""
    server.sandbox.settings("alteryx", queued_seconds=60)
    job = server.start(DEMO)
    assert server.cancel(job).status_code == 200
    assert server.send("GET", f"/v3/jobs/{job}").status_code == 404
    assert server.send("GET", f"/v1/jobs/{job}").json()["exceptionName"] == "NotFoundException"
    server.sandbox.settings("alteryx", delete_queued=False, cancelled_word="Canceled")
    job = server.start(DEMO)
    server.cancel(job)
    assert server.get(f"/v3/jobs/{job}")["status"] == "Canceled"


def test_cancel_takes_time_or_does_nothing(server):
    """It may come into effect later, or never."""
    server.sandbox.settings("alteryx", cancel_seconds=0.5)
    job = server.start(NEVER)
    server.until(job, "running")
    assert server.cancel(job).status_code == 200
    assert server.get(f"/v3/jobs/{job}")["status"] == "Running"
    server.until(job, "cancelled")
    server.sandbox.settings("alteryx", cancel_ignored=True)
    job = server.start(SLOW, Seconds="0.1")
    server.until(job, "running")
    server.cancel(job)
    assert server.until(job, "success")["disposition"] == "Success"


def test_who_may_cancel(server, session):
    """A curator any job, others their own."""
    curator = Server(server.sandbox, session, "curator-")
    job = curator.start(NEVER)
    assert server.cancel(job).status_code == 401
    assert curator.cancel(job).status_code == 200
    assert curator.cancel(server.start(NEVER)).status_code == 200


@pytest.mark.parametrize("status", [405, 404])
def test_servers_before_2025_1_cannot_cancel(server, status):
    """The path exists for GET only; which code the server answers is not known."""
    server.sandbox.settings("alteryx", server_version="2024.2", cancel_unsupported_status=status)
    assert server.cancel(server.start(NEVER)).status_code == status


def test_messages_for_curators(server, session):
    """A list or one object; others are refused."""
    job, curator = server.ended(FAILING)["id"], Server(server.sandbox, session, "curator-")
    message = {"status": 3, "text": "The input file was not found.", "toolId": 12}
    assert curator.get(f"/v3/jobs/{job}/messages") == [message]
    server.sandbox.settings("alteryx", messages_style="object")
    assert curator.get(f"/v3/jobs/{job}/messages") == message
    assert server.send("GET", f"/v3/jobs/{job}/messages").status_code == 401


def test_jobs_of_a_workflow(server):
    """V3's list has filters and paging but no disposition; V1's has one, and ``runWithE2`` as text."""
    jobs = [server.ended(FAILING)["id"] for _ in range(3)]
    server.sandbox.settings("alteryx", outcome="never")
    jobs.append(server.start(FAILING))
    server.until(jobs[3], "running")
    path = f"workflows/{FAILING}/jobs"
    listed = server.get(f"/v3/{path}")
    assert [one["id"] for one in listed] == jobs
    assert set(listed[0]) == {"id", "createDate", "status", "priority", "workerTag", "runWithE2"}
    assert [one["id"] for one in server.get(f"/v3/{path}", direction="desc", offset=1, limit=2)] == jobs[2:0:-1]
    assert [one["id"] for one in server.get(f"/v3/{path}", status="Running")] == jobs[3:]
    assert [one["id"] for one in server.get(f"/v3/{path}", resultCode="Error")] == jobs[:3]
    assert server.send("GET", f"/v3/{path}", params={"status": "Odd"}).status_code == 400
    assert server.get(f"/v1/{path}", sortField="createdate", limit=1)[0] == listed[0] | {
        "disposition": "Error",
        "workerTag": None,
        "runWithE2": "False",
    }


def test_everybodys_jobs(server, session):
    """A curator's pages, with the documented row and numbers."""
    jobs = [server.ended(DEMO)["id"] for _ in range(3)]
    curator = Server(server.sandbox, session, "curator-")
    page = curator.get("/v3/jobs", limit=2, offset=2, sortField="CreateDate")
    assert page["pagination"] == {
        "currentPage": 2,
        "pageSize": 2,
        "totalItems": 3,
        "totalPages": 2,
        "hasNextPage": False,
        "hasPreviousPage": True,
    }
    row = page["data"][0]
    assert (row["jobId"], row["workflowId"], row["workflowName"]) == (jobs[2], DEMO, "Demo app.yxwz")
    assert (row["status"], row["submittedBy"], row["executionTime"]) == ("Completed", "Avery Artisan", "00:00:00")
    assert curator.get("/v3/jobs", statuses="Queued,Running")["pagination"]["totalItems"] == 0
    assert curator.get("/v3/jobs", completedBefore="2020-01-01")["data"] == []
    assert len(curator.get("/v3/jobs", workflowNames="Demo app")["data"]) == 3
    assert server.send("GET", "/v3/jobs").status_code == 401


def test_purged_jobs_are_gone(server):
    """After the queue's clean-up a job and its outputs answer 404; the sandbox still knows of it."""
    job = server.ended(DEMO)
    server.sandbox.settings("alteryx", purge_seconds=0)
    assert server.send("GET", f"/v3/jobs/{job['id']}").status_code == 404
    assert server.send("GET", f"/v1/jobs/{job['id']}/output/{job['outputs'][0]['id']}").status_code == 404
    assert server.get(f"/v3/workflows/{DEMO}/jobs") == []
    assert server.state(job["id"]) == "success"
