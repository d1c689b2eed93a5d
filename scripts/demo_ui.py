"""``make demo-ui``: keep an Airflow and the sandbox running, with DAGs to look at in the browser.

All files are below ``.demo/ui/`` and stay there when the program ends, so that the next start shows the same DAG runs.
``make demo-ui RESET=1`` starts with empty data. All processes end when this program ends.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import shutil
import signal
import socket
import sys
import time
from pathlib import Path

import requests

from scripts.airflow_cluster import AirflowCluster
from scripts.airflow_home import AIRFLOW_VERSION, AirflowHome
from scripts.demo import SANDBOX, locked_folder, sandbox_connections, say, terminated
from scripts.environment import ROOT
from scripts.processes import Background, free_port

FOLDER = ROOT / ".demo" / "ui"
# Tried first, so that the address in the browser is the usual one.
USUAL_PORT = 8080
# Started once, when the data is empty; the pages then have something to show.
FIRST_RUNS = ("demo_deferred", "example_carto", "demo_failing", "demo_mapped")
# How long runs take: a job on Alteryx so long that there is time to look at a deferred task and at the lines that its
# job writes meanwhile, the others so long that a busy scheduler sees each task defer.
SANDBOX_SETTINGS = {
    "alteryx": {"running_seconds": 60, "log_lines": 25, "log_seconds": 55},
    "carto": {"running_seconds": 8},
}

# What to look at: its name, the path of its page, or words for it, and what is seen there.
SIGHTS = (
    ("graph", "/dags/example_carto", "Graph, then a task: its run, its XComs, its log"),
    ("a deferred task", "/dags/demo_deferred", "waits a minute in the triggerer, its log grows; trigger it again"),
    ("a failing DAG", "/dags/demo_failing", 'task "fail", Logs: what the system said'),
    ("50 mapped runs", "/dags/demo_mapped", "one workflow run per state, one load for all"),
    ("Open run", "a task's page, tab Details", "leads to the run in the system"),
    ("assets", "/assets", "the file of demo_deferred's job; a watched workflow of Stevesie"),
    ("event-driven", "/dags/example_events_elsewhere", "trigger example_stevesie: its run in Stevesie starts this DAG"),
)
GUIDE = """
Airflow {version} is ready:  {url}    (no password: you are an administrator)
The sandbox:            {sandbox}/_sandbox

What to look at
{sights}

Data: {folder}    Ctrl-C stops everything; make demo-ui starts it again with this data; make demo-ui RESET=1 without.
"""


def guide(url: str, sandbox: str, folder: Path) -> str:
    """The text that says where everything is."""
    rows = [(name, f"{url}{page}" if page.startswith("/") else page, seen) for name, page, seen in SIGHTS]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    sights = "\n".join(f"  {name:{widths[0]}}  {page:{widths[1]}}  {seen}" for name, page, seen in rows)
    return GUIDE.format(version=AIRFLOW_VERSION, url=url, sandbox=sandbox, sights=sights, folder=folder)


def ports(folder: Path) -> tuple[int, int]:
    """The ports of Airflow and of the sandbox: the same at each start, if they are free."""
    kept = folder / "ports.json"
    wanted = json.loads(kept.read_text()) if kept.exists() else [USUAL_PORT, 0]
    airflow, sandbox = (port if port and is_free(port) else free_port() for port in wanted)
    kept.write_text(json.dumps([airflow, sandbox]))
    return airflow, sandbox


def is_free(port: int) -> bool:
    """Whether nothing listens on a port of the loopback interface."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def home_in(folder: Path, port: int, sandbox_port: int) -> AirflowHome:
    """An Airflow with the example DAGs and the DAGs of this demo."""
    dags, temporary = folder / "dags", folder / "tmp"
    shutil.rmtree(dags, ignore_errors=True)
    dags.mkdir()
    temporary.mkdir(exist_ok=True)
    for source in [*(ROOT / "example_dags").glob("*.py"), *(ROOT / "scripts" / "demo_dags").glob("*.py")]:
        shutil.copyfile(source, dags / source.name)
    variables = sandbox_connections(sandbox_port)
    variables["AIRFLOW_CONN_WAREHOUSE"] = json.dumps({"conn_type": "sqlite", "host": str(folder / "warehouse.db")})
    # The example DAGs write their files to the temporary folder.
    variables["TMPDIR"] = str(temporary)
    return AirflowHome(folder / "airflow", dags=dags, port=port, settings=fernet_key(folder), variables=variables)


def fernet_key(folder: Path) -> dict[str, dict[str, str]]:
    """The key that the data is encrypted with: triggers of an earlier start are read with it."""
    kept = folder / "fernet.key"
    if not kept.exists():
        kept.write_text(base64.urlsafe_b64encode(secrets.token_bytes(32)).decode())
    return {"core": {"fernet_key": kept.read_text()}}


def dag_ids() -> list[str]:
    """The DAGs that this demo starts or names; the DAG folder has them once all its files are read."""
    return [*FIRST_RUNS, "example_stevesie", *(["example_events_elsewhere"] if int(AIRFLOW_VERSION[0]) > 2 else [])]


def serve(folder: Path) -> None:
    """Run until Ctrl-C or until a process ends by itself."""
    port, sandbox_port = ports(folder)
    home = home_in(folder, port, sandbox_port)
    first = not home.database.exists()
    sandbox = f"http://127.0.0.1:{sandbox_port}"
    command = [*SANDBOX, "--port", str(sandbox_port)]
    with Background("sandbox", command, env=home.environment(), log=folder / "sandbox.log") as server:
        cluster = AirflowCluster(home, patience=5)
        say(f"Starting Airflow {AIRFLOW_VERSION} and the sandbox")
        with cluster as airflow:
            airflow.wait_until_ready(*dag_ids())
            server.check()
            for system, settings in SANDBOX_SETTINGS.items():
                address = f"{sandbox}/_sandbox/settings/{system}"
                requests.put(address, json=settings, timeout=30).raise_for_status()
            for dag_id in FIRST_RUNS if first else FIRST_RUNS[:1]:
                airflow.trigger(dag_id)
            print(guide(home.url, sandbox, folder.relative_to(ROOT)), flush=True)
            while True:
                time.sleep(1)
                server.check()
                airflow.check()


def main() -> int:
    """Run the demo as a program."""
    signal.signal(signal.SIGTERM, terminated)
    signal.signal(signal.SIGINT, terminated)
    try:
        with locked_folder(FOLDER) as folder:
            if os.environ.get("RESET"):
                for old in folder.iterdir():
                    if old.is_dir():
                        shutil.rmtree(old)
                    elif old.name != "lock":
                        old.unlink()
            serve(folder)
    except KeyboardInterrupt:
        print("\nStopped. Start it again, with its data: make demo-ui", file=sys.stderr)
        return 0
    except (RuntimeError, TimeoutError, ImportError, requests.RequestException) as error:
        print(f"\nThe demo could not run: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
