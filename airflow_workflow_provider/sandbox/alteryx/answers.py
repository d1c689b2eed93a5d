"""The JSON of V1 and V3: the same things under different names."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from .catalog import App, Question
from .jobs import ENDED, Job
from .settings import AlteryxSettings, World
from .users import ARTISAN

# inferred: the number of Default, and that "6" of the documented sample of GET /v3/jobs means it.
PRIORITY_NUMBERS = {"Default": 0, "Low": 0, "Medium": 1, "High": 2, "Critical": 3}
PAGED_PRIORITIES = {"Default": "6", "Low": "0", "Medium": "1", "High": "2", "Critical": "3"}
UPLOADED = "2021-11-23T16:49:40.732Z"


def precise(job: Job) -> str:
    """A job's creation in seven digits, as only the answer to the start spells it."""
    return f"{job.created_at:%Y-%m-%dT%H:%M:%S.%f}{1 + int(job.id[-1], 16) % 9}Z"


def rough(moment: datetime) -> str:
    """A time without fractions, as every other answer spells it."""
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def status(job: Job, settings: AlteryxSettings) -> str:
    """The word for a job's state; completed says nothing of success."""
    words = {"queued": settings.queued_word, "running": settings.running_word, "cancelled": settings.cancelled_word}
    return words.get(job.state, settings.completed_word)


def disposition(job: Job, settings: AlteryxSettings) -> str:
    """How a job ended; ``None`` while it has not."""
    words = {"success": settings.success_disposition, "error": settings.error_disposition}
    return (words | {"cancelled": settings.cancelled_disposition}).get(job.state, "None")


def messages(job: Job, settings: AlteryxSettings) -> list[dict[str, Any]]:
    """All messages, which are the same in both versions."""
    if job.state not in ENDED and not settings.messages_while_running:
        return []
    return [{"status": kind, "text": text, "toolId": tool} for kind, text, tool in settings.kept(job.messages)]


def v1_priority(job: Job, settings: AlteryxSettings, world: World) -> int | str:
    """A number with OAuth 1; with the web API it is not known, hence a switch."""
    as_number = world == "gallery" or settings.webapi_v1_priority == "number"
    return PRIORITY_NUMBERS[job.wanted.priority] if as_number else job.wanted.priority


def v1_job(job: Job, settings: AlteryxSettings, world: World, *, started: bool, with_messages: bool) -> dict[str, Any]:
    """V1's ``JobApiView``; ``appId`` is always null, ``started`` is for the answer to the start."""
    outputs = [{"id": one.id, "name": one.output.name, "formats": list(one.output.formats)} for one in job.outputs]
    return {
        "id": job.id,
        "appId": None,
        "createDate": precise(job) if started else rough(job.created_at),
        "status": status(job, settings),
        "disposition": disposition(job, settings),
        "outputs": outputs,
        "messages": messages(job, settings) if with_messages else [],
        "priority": v1_priority(job, settings, world),
        # Recorded: an empty text after the start, null later.
        "workerTag": job.wanted.worker_tag or ("" if started else None),
        "runWithE2": job.app.amp,
    }


def v1_listed_job(job: Job, settings: AlteryxSettings, world: World) -> dict[str, Any]:
    """V1's ``JobListApiView``, whose ``runWithE2`` is text (its spelling is inferred)."""
    whole = v1_job(job, settings, world, started=False, with_messages=False)
    kept = {name: whole[name] for name in ("id", "createDate", "status", "disposition", "priority", "workerTag")}
    return kept | {"runWithE2": str(job.app.amp)}


def v3_job(job: Job, settings: AlteryxSettings, *, started: bool, with_messages: bool) -> dict[str, Any]:
    """V3's ``JobView``; that the start answers seven digits here too is inferred from V1."""
    outputs = [
        {"id": one.id, "availableFormats": list(one.output.formats), "fileName": one.output.name} for one in job.outputs
    ]
    return {
        "id": job.id,
        "appId": job.app.id,
        "createDateTime": precise(job) if started else rough(job.created_at),
        "status": status(job, settings),
        "disposition": disposition(job, settings),
        "outputs": outputs,
        "messages": messages(job, settings) if with_messages else [],
        "priority": job.wanted.priority,
        "workerTag": job.wanted.worker_tag,
        "runWithE2": job.app.amp,
    }


def v3_listed_job(job: Job, settings: AlteryxSettings) -> dict[str, Any]:
    """V3's ``WorkflowJobView``: no disposition, no outputs."""
    return {
        "id": job.id,
        "createDate": rough(job.created_at),
        "status": status(job, settings),
        "priority": job.wanted.priority,
        "workerTag": job.wanted.worker_tag,
        "runWithE2": job.app.amp,
    }


def v3_paged_job(job: Job, settings: AlteryxSettings) -> dict[str, Any]:
    """A row of ``GET /v3/jobs`` as in the documented sample; what ``queueTime`` holds is inferred."""
    began, ended = job.started_at or job.created_at, job.ended_at or job.started_at or job.created_at
    minutes, seconds = divmod(round((ended - began).total_seconds()), 60)
    return {
        "jobId": job.id,
        "status": status(job, settings),
        "workflowName": job.app.file_name,
        "workflowId": job.app.id,
        "submittedBy": job.user.name,
        "startTime": rough(job.started_at) if job.started_at else None,
        "queueTime": rough(job.created_at),
        "executionTime": f"{minutes // 60:02}:{minutes % 60:02}:{seconds:02}",
        "priority": PAGED_PRIORITIES[job.wanted.priority],
    }


def question(one: Question, *, v3: bool) -> dict[str, Any]:
    """A question: V1 says ``type`` and writes ``multiple`` as text, V3 says ``questionType``."""
    return {
        "name": one.name,
        "questionType" if v3 else "type": one.type,
        "description": one.description,
        "value": one.value,
        "multiple": one.multiple if v3 else str(one.multiple),
        "items": [{"key": item, "value": item} for item in one.items],
    }


def meta_info(app: App) -> dict[str, Any]:
    """What an app says of itself."""
    empty = dict.fromkeys(("author", "copyright", "noOutputFilesMessage", "outputMessage", "url", "urlText"), "")
    return empty | {"name": app.name, "description": app.summary}


def v1_app(app: App, run_count: int, world: World) -> dict[str, Any]:
    """V1's ``WorkflowApiView``; ``packageType`` is a number with OAuth 1 and a name in the web API."""
    return {
        "id": app.id,
        "subscriptionId": "503bac188031af11f8f8e478",
        "public": False,
        "runDisabled": False,
        "packageType": 0 if world == "gallery" else "App",
        "uploadDate": UPLOADED,
        "fileName": app.file_name,
        "metaInfo": meta_info(app),
        "isChained": False,
        "version": 1,
        "runCount": run_count,
        "workerTag": "",
        "isE2": app.amp,
    }


def v3_reduced(app: App) -> dict[str, Any]:
    """V3's ``ReducedWorkflowView``."""
    return {
        "id": app.id,
        "sourceAppId": app.id,
        "name": app.name,
        "ownerId": ARTISAN.id,
        "dateCreated": UPLOADED,
        "publishedVersionNumber": 1,
        "isAmp": app.amp,
        "executionMode": "Standard",
    }


def v3_app(app: App, run_count: int) -> dict[str, Any]:
    """V3's ``WorkflowView`` with its one version."""
    # What a workflow and its version both say.
    common: dict[str, Any] = {
        "dateCreated": UPLOADED,
        "comments": "",
        "executionMode": "Standard",
        "packageWorkflowType": "App",
    }
    common |= {"hasPrivateDataExemption": False, "othersMayDownload": True, "othersCanViewHistory": True}
    details = meta_info(app) | {"isAmp": app.amp, "fileName": app.file_name}
    version = {"versionId": version_id(app), "versionNumber": 1, "uploadSource": "Designer", "uploadDate": UPLOADED}
    version |= {"published": True, "runDisabled": False, "workflowCredentialType": "Default", "credentialId": ""}
    whole = {"id": app.id, "sourceAppId": app.id, "name": app.name, "ownerId": ARTISAN.id, "runCount": run_count}
    whole |= {"workerTag": "", "districtTags": [], "isPublic": False, "isReadyForMigration": False}
    whole |= {"publishedVersionId": version_id(app), "othersCanExecute": app.executable}
    return whole | common | {"versions": [version | common | {"details": details}]}


def version_id(app: App) -> str:
    """The id of an app's one version."""
    return f"{app.id[:16]}ee{app.id[18:]}"
