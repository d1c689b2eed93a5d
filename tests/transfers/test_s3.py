"""Files on S3, spoken to over HTTP: s3fs behind `ObjectStoragePath`, and a server of moto's."""

from __future__ import annotations

import gzip
import signal
import subprocess
import sys
from contextlib import closing
from importlib import import_module
from pathlib import Path

import pyarrow.parquet
import pytest

from airflow_workflow_provider.exceptions import InvalidArgument, OutputUnavailable, WorkflowError
from airflow_workflow_provider.transfers.attempt import Attempt
from airflow_workflow_provider.transfers.files.formats import checked_format
from airflow_workflow_provider.transfers.files.load import FileLoad
from airflow_workflow_provider.transfers.resolve import ResolvedOutput
from scripts.airflow_home import AIRFLOW_3
from tests.outputs.serving import client, serving
from tests.transfers.tables import run_with
from tests.transfers.test_file_copies import Log

s3fs = pytest.importorskip("s3fs", reason="s3fs is not installed")
moto_server = pytest.importorskip("moto.server", reason="moto is not installed")
ROOT = Path(__file__).parent.parent.parent
BUCKET = "lake"


def attached(server):
    """Give the file system of a server, and let Airflow use it."""
    given = {"endpoint_url": server, "region_name": "us-east-1"}
    made = s3fs.S3FileSystem(
        key="k", secret="s", client_kwargs=given, skip_instance_cache=True, use_listings_cache=False
    )
    store = import_module("airflow.sdk.io.store" if AIRFLOW_3 else "airflow.io.store")
    # Airflow keeps the first store of a scheme: one that a test before this made, without a file system, too
    store._STORE_CACHE.pop("s3", None)
    store.attach("s3", fs=made)
    return made


@pytest.fixture(scope="module")
def s3():
    """A file system on a server of its own."""
    server = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    made = attached(f"http://{host}:{port}")
    made.call_s3("create_bucket", Bucket=BUCKET)
    yield made
    server.stop()


@pytest.fixture
def bucket(s3):
    """The bucket, empty; what is in it is asked of the server."""
    for path in s3.find(BUCKET):
        s3.rm_file(path)
    return s3


@pytest.fixture
def served():
    with serving() as made:
        made.content = b"id,zip\n9007199254740993,007\n"
        yield made


def land(served, path, form="parquet", *, attempt=("k" * 40, False), overwrite=False, compression=None):
    """Land the served CSV on S3 as the operator would."""
    run = run_with("result.csv")
    chosen, packing = checked_format(form, compression)
    load = FileLoad(path, None, form, chosen, packing, overwrite, Attempt(*attempt), None, Log())
    with closing(client()) as worker:
        item = ResolvedOutput(run, run.outputs[0], 0, served.source("csv"), worker)
        return load.earlier() or load.run([item])


def test_a_parquet_file_lands_and_nothing_else(bucket, served):
    result = land(served, f"s3://{BUCKET}/day=1/out.parquet")
    assert bucket.find(BUCKET) == [f"{BUCKET}/day=1/out.parquet"]
    with bucket.open(f"{BUCKET}/day=1/out.parquet") as file:
        assert pyarrow.parquet.read_table(file).to_pylist() == [{"id": 9007199254740993, "zip": "007"}]
    assert (result["rows"], result["bytes"]) == (1, bucket.size(f"{BUCKET}/day=1/out.parquet"))


def test_gzip_passes_untouched_also_in_many_parts(bucket, served):
    served.content = gzip.compress(b"n\n" + b"".join(b"%d\n" % (k * 7919 % 10**9) for k in range(3_000_000)), 1)
    served.headers = {"ETag": '"x"', "Content-Encoding": "gzip"}
    served.cuts = [1_000_000]
    result = land(served, f"s3://{BUCKET}/out.csv.gz", "csv", compression="gzip")
    assert bucket.cat(f"{BUCKET}/out.csv.gz") == served.content
    assert (result["rows"], result["bytes"]) == (3_000_000, len(served.content))


def test_a_file_that_is_there_is_left_or_replaced(bucket, served):
    path = f"s3://{BUCKET}/out.csv"
    bucket.pipe(f"{BUCKET}/out.csv", b"kept")
    with pytest.raises(InvalidArgument, match="exists already; overwrite=True"):
        land(served, path, "csv")
    assert bucket.cat(f"{BUCKET}/out.csv") == b"kept"
    land(served, path, "csv", overwrite=True)
    assert bucket.cat(f"{BUCKET}/out.csv") == served.content


@pytest.mark.parametrize("path", [f"{BUCKET}/report", f"{BUCKET}/new/", BUCKET])
def test_where_files_lie_below_there_is_no_place_for_one(bucket, served, path):
    bucket.pipe(f"{BUCKET}/report/part.csv", b"kept")
    with pytest.raises(InvalidArgument, match=f"path: 's3://{path}' is a folder"):
        land(served, f"s3://{path}", overwrite=True)
    assert (served.asked, bucket.find(BUCKET)) == ([], [f"{BUCKET}/report/part.csv"])


def test_files_that_come_to_lie_below_meanwhile_are_left_alone(bucket, served):
    source = served.source
    served.source = lambda kind: bucket.pipe(f"{BUCKET}/report/part.csv", b"kept") or source(kind)
    with pytest.raises(InvalidArgument, match="is a folder, or files lie below it"):
        land(served, f"s3://{BUCKET}/report", overwrite=True)
    assert bucket.find(BUCKET) == [f"{BUCKET}/report/part.csv"]


def test_a_path_is_no_pattern(bucket, served):
    bucket.pipe(f"{BUCKET}/day=1/.out1.csv", b"kept")
    land(served, f"s3://{BUCKET}/day=[1]/out*.csv", "csv")
    assert bucket.find(BUCKET) == [f"{BUCKET}/day=1/.out1.csv", f"{BUCKET}/day=[1]/out*.csv"]


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_an_output_that_fails_leaves_the_bucket_as_it_was(bucket, served, form):
    bucket.pipe(f"{BUCKET}/out", b"kept")
    served.content += b"1\n"
    with pytest.raises(OutputUnavailable, match="Expected 2 columns"):
        land(served, f"s3://{BUCKET}/out", form, overwrite=True)
    assert {path: bucket.cat(path) for path in bucket.find(BUCKET)} == {f"{BUCKET}/out": b"kept"}


def test_a_bucket_that_is_not_there_is_a_clear_error(bucket, served):
    with pytest.raises(WorkflowError, match=r"path 's3://nowhere/out\.csv': .* failed"):
        land(served, "s3://nowhere/out.csv", "csv")


DYING = """
import os, signal, sys
from tests.outputs.serving import Served
from tests.transfers import test_s3

server, source, dies = sys.argv[1:]
s3 = test_s3.attached(server)

def killing(do):
    def killed(*args):
        do(*args)
        os.kill(os.getpid(), signal.SIGKILL)
    return killed

if dies == "after":
    s3.rm_file = killing(s3.rm_file)
else:
    s3.copy = killing(s3.copy if dies == "between" else print)
test_s3.land(Served(url=source), test_s3.PATH)
"""
PATH = f"s3://{BUCKET}/out.parquet"


@pytest.mark.parametrize("dies", ["before", "between", "after"])
def test_a_retry_after_a_crash_leaves_exactly_one_object(bucket, served, dies):
    """The process is killed before, while or after the object gets its name; the retry ends with one all the same."""
    command = [sys.executable, "-W", "ignore", "-c", DYING, bucket.client_kwargs["endpoint_url"], served.url, dies]
    died = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert len(bucket.find(BUCKET)) == (2 if dies == "between" else 1)
    assert bucket.exists(PATH) == (dies != "before")
    result = land(served, PATH, attempt=("k" * 40, True, 2))
    assert bucket.find(BUCKET) == [f"{BUCKET}/out.parquet"]
    assert result["bytes"] == bucket.size(PATH)
