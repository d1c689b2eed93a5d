"""A reader that follows the manifests of partitions sees the old rows or the new ones, whenever the load is killed."""

from __future__ import annotations

import json
import os
import signal
import warnings
from contextlib import suppress

import pyarrow.parquet
import pytest
from fsspec.implementations.local import LocalFileSystem  # type: ignore[import-untyped]  # it has no stubs

from airflow_workflow_provider.transfers.workflow_to_object_storage import WorkflowOutputToObjectStorageOperator
from tests.transfers.conftest import Store, Task, context

COLUMNS = {"id": "number", "day": "string"}


def keep(run, lake, task, store=None):
    """Write a run as the operator does."""
    return WorkflowOutputToObjectStorageOperator(
        task_id="keep", run=run, path=str(lake), partition_by=["day"], overwrite=True
    ).execute(context(task, store))


def followed(lake):
    """The rows of each partition, as its manifest names the files."""
    found = {}
    for manifest in lake.glob("day=*/_manifest.json"):
        files = [manifest.parent / one["name"] for one in json.loads(manifest.read_text())["files"]]
        found[manifest.parent.name] = [
            number for file in files for number in pyarrow.parquet.ParquetFile(file).read().column("id").to_pylist()
        ]
    return found


def dies(run, lake, at, store):
    """Load in a process that is killed before or after a change of the storage; give whether there was such a step."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a process with threads
        child = os.fork()
    if not child:
        with suppress(BaseException):
            calls = [0]

            def step():
                calls[0] += 1
                if calls[0] == at:
                    os.kill(os.getpid(), signal.SIGKILL)

            def dying(name):
                real = getattr(LocalFileSystem, name)

                def call(*arguments, **options):
                    step()
                    result = real(*arguments, **options)
                    step()
                    return result

                return call

            for name in ("mv", "rm_file", "_open"):
                setattr(LocalFileSystem, name, dying(name))
            keep(run, lake, Task(run_id="m2"), store)
            os._exit(0)
        os._exit(9)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


@pytest.mark.parametrize("has_store", [True, False], ids=["with a store", "without a store"])
def test_a_load_of_partitions_is_killed_at_each_step(tables, tmp_path, has_store):
    """The retry ends with the new rows alone, for readers that list the folders as well."""
    old = tables.put("old", COLUMNS, [1, "a"], [2, "b"], [3, "c"])
    new = tables.put("new", COLUMNS, [11, "a"], [12, "b"])
    before = {"day=a": [1], "day=b": [2], "day=c": [3]}
    after = {"day=a": [11], "day=b": [12], "day=c": [3]}
    at = -3
    while True:
        at += 1 if at > 0 and has_store else 4
        lake = tmp_path / f"lake{at}"
        keep(old, lake, Task(run_id="m1"))
        assert followed(lake) == before
        if not dies(new, lake, at, Store() if has_store else None):
            assert followed(lake) == after
            break
        seen = followed(lake)
        assert set(seen) == set(before)
        assert all(rows in (before[day], after[day]) for day, rows in seen.items()), f"step {at}"
        keep(new, lake, Task(run_id="m2", try_number=2))
        assert followed(lake) == after, f"step {at}"
        assert len(list(lake.glob("day=*/*.parquet"))) == 3, f"step {at}"
        assert not list(lake.glob("day=*/.*")), f"step {at}"
    assert at > 12


def test_what_a_try_had_noted_before_it_was_killed_does_not_end_the_retry(tables, tmp_path):
    """The files were in their places, those that they replace were still there."""
    old, new = tables.put("old", COLUMNS, [1, "a"]), tables.put("new", COLUMNS, [11, "a"])
    keep(old, tmp_path / "lake", Task(run_id="m1"))
    (left,) = (tmp_path / "lake").glob("day=a/*.parquet")
    content, store = left.read_bytes(), Store()
    keep(new, tmp_path / "lake", Task(run_id="m2"), store)
    left.write_bytes(content)
    (key,) = store
    store[key]["moved"] = False
    keep(new, tmp_path / "lake", Task(run_id="m2", try_number=2), store)
    assert not left.exists()
    assert followed(tmp_path / "lake") == {"day=a": [11]}
