"""Imports run one way, and a DAG file pays for nothing that it does not use."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import resolve_name
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGE = "airflow_workflow_provider"

# From the top down: a module imports from its own layer and from those below it.
LAYERS = (
    {
        "operators",
        "sensors",
        "transfers",
        "links",
        "assets",
        "lineage",
        "cli",
        "__main__",
        "retry_policy",
        "sdk",
        "forms",
    },
    {"triggers"},
    {"hooks"},
    {"client"},
    {"outputs"},
    {"systems"},
    {"protocol"},
    {"exceptions"},
)
HEIGHT = {part: len(LAYERS) - place for place, layer in enumerate(LAYERS) for part in layer}
# Parts that stand apart: nothing imports them, and they import nothing of the package but themselves.
ISLANDS = {"sandbox", "provider_info", "__init__"}
# What users' tests import: it may use everything, and nothing imports it.
OUTSIDE = {"testing"}
MAY_IMPORT_AIRFLOW = {part for part in HEIGHT if HEIGHT[part] >= HEIGHT["hooks"]} | OUTSIDE
BASE_ERRORS = {"AirflowException", "AirflowFailException", "AirflowSensorTimeout"}
# Below the client everything is a flow: it yields what it wants to be sent.
NETWORK = {"aiohttp", "http.client", "httpx", "requests", "socket", "urllib.request", "urllib3"}
FLOWS = {part for part in HEIGHT if HEIGHT[part] < HEIGHT["client"]}

MODULES = sorted((ROOT / PACKAGE).rglob("*.py"))


def part_of(module: str) -> str:
    """The layer's name for a module of the package: ``airflow_workflow_provider.hooks.carto`` is of ``hooks``."""
    return [*module.split("."), "__init__"][1]


def module_name(path: Path) -> str:
    """The dotted name of a file in the package."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def statements(tree: ast.AST) -> Iterator[ast.AST]:
    """Every node that runs; what a type checker alone sees is left out."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from (inner for other in node.orelse for inner in [other, *statements(other)])
            continue
        yield node
        yield from statements(node)


def imported(path: Path) -> Iterator[str]:
    """The dotted name of everything that a file imports, at its top or later; a name from a module counts with it."""
    package = module_name(path) if path.name == "__init__.py" else module_name(path).rpartition(".")[0]
    for node in statements(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            source = resolve_name("." * node.level + (node.module or ""), package)
            yield from (f"{source}.{alias.name}" for alias in node.names)


def label(path: Path) -> str:
    return str(path.relative_to(ROOT / PACKAGE))


def test_a_module_imports_only_from_its_own_layer_and_from_below():
    """Imports run one way: from operators down to the protocol."""
    wrong = []
    for path in MODULES:
        part = part_of(module_name(path))
        if part in OUTSIDE:
            continue
        if part not in HEIGHT.keys() | ISLANDS:
            wrong.append(f"{label(path)}: {part} is new; it needs a place in LAYERS or ISLANDS")
            continue
        for name in imported(path):
            if name.split(".")[0] != PACKAGE or name == f"{PACKAGE}.__version__":
                continue
            other = part_of(name)
            if part == "provider_info" and name.split(".")[-2] == "form":
                continue  # the connection forms are tables, and import nothing
            apart = part != other if part in ISLANDS or other in ISLANDS else HEIGHT[part] < HEIGHT.get(other, 0)
            if apart or other in OUTSIDE:
                wrong.append(f"{label(path)} imports {name}")
    assert not wrong, "\n".join(wrong)


def test_airflow_is_imported_by_hooks_and_above_only():
    """Below the hooks only `exceptions` imports Airflow, and of it only the base classes of errors."""
    wrong = []
    for path in MODULES:
        part = part_of(module_name(path))
        found = {name for name in imported(path) if name.split(".")[0] == "airflow"}
        if part == "exceptions":
            found = {name for name in found if name.rpartition(".")[2] not in BASE_ERRORS}
        if found and part not in MAY_IMPORT_AIRFLOW:
            wrong.append(f"{label(path)} imports {', '.join(sorted(found))}")
    assert not wrong, "\n".join(wrong)


def test_no_network_below_the_client():
    """A flow yields its requests; only the client sends them."""
    wrong = []
    for path in MODULES:
        if part_of(module_name(path)) in FLOWS:
            names = {name for name in imported(path) for library in NETWORK if f"{name}.".startswith(f"{library}.")}
            wrong += [f"{label(path)} imports {name}" for name in sorted(names)]
    assert not wrong, "\n".join(wrong)


def every_import(path: Path) -> Iterator[str]:
    """As `imported`, with what only a type checker imports."""
    package = module_name(path) if path.name == "__init__.py" else module_name(path).rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            source = resolve_name("." * node.level + (node.module or ""), package)
            yield from (f"{source}.{alias.name}" for alias in node.names)


def test_no_modules_import_each_other():
    """Also not for typing, and not through others: what remains after every module without imports is removed."""
    known = {module_name(path) for path in MODULES}
    needs = {}
    for path in MODULES:
        names = {name if name in known else name.rpartition(".")[0] for name in every_import(path)}
        needs[module_name(path)] = (names & known) - {module_name(path)}
    while free := [name for name, others in needs.items() if not others]:
        for name in free:
            del needs[name]
        needs = {name: others - set(free) for name, others in needs.items()}
    assert not needs, "these modules import each other, or import such modules:\n" + "\n".join(sorted(needs))


# Who may sleep and read the clock. Databases and files are no workflow systems; the command line measures for people.
TELL_TIME = {"client", "outputs", "transfers", "cli", "sandbox", "testing"}


def test_what_talks_to_workflow_systems_sleeps_and_reads_the_clock_in_the_client_only():
    """Everything else yields `Sleep` and `Now`, or asks the client."""
    wrong = []
    for path in MODULES:
        if part_of(module_name(path)) in TELL_TIME:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func)
                if name in {"time.sleep", "time.time", "time.monotonic", "asyncio.sleep", "datetime.now", "loop.time"}:
                    wrong.append(f"{label(path)}:{node.lineno} calls {name}")
    assert not wrong, "\n".join(wrong)


# A call that runs code in a thread without telling asgiref which event loop it belongs to.
THREADS = {
    "to_thread",
    "run_in_executor",
    "ThreadPoolExecutor",
    "Thread",
    "run_coroutine_threadsafe",
    "start_new_thread",
}


def test_hooks_and_triggers_reach_airflow_only_from_the_event_loop_that_owns_it():
    """A message to the supervisor from a plain thread ends the triggerer of Airflow 3.0 and 3.1.

    `sync_to_async` is allowed: what it runs sends its messages in the loop that awaits it.
    """
    wrong = []
    for path in MODULES:
        if part_of(module_name(path)) in {"hooks", "triggers"}:
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, (ast.Name, ast.Attribute)):
                    name = node.id if isinstance(node, ast.Name) else node.attr
                    if name in THREADS:
                        wrong.append(f"{label(path)}:{node.lineno} uses {name}")
    assert not wrong, "\n".join(wrong)


def test_mask_secret_is_called_where_its_thread_is_checked():
    """Every client masks through `hooks.connections`, which knows what each Airflow allows in which thread."""
    home = Path("hooks/connections.py")
    wrong = [
        label(path)
        for path in MODULES
        if label(path) != str(home)
        and any(name.endswith(("mask_secret", "_secrets_masker")) for name in imported(path))
    ]
    assert not wrong


PARSE = """
import json, runpy, socket, sys, time
from pathlib import Path

def refuse(*args, **kwargs):
    raise OSError("a DAG file must not use the network")

socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = socket.create_connection = refuse

package, root = sys.argv[1], Path(sys.argv[2])
from airflow.providers.common.compat.sdk import DAG, BaseHook, BaseOperator, BaseSensorOperator, Context, XCom, conf
try:
    import airflow.sdk
except ImportError:
    import airflow.models.dagbag
paid = set(sys.modules)
began = time.process_time()
for kind in ("operators", "sensors", "transfers"):
    for path in sorted((root / package / kind).glob("*.py")):
        __import__(f"{package}.{kind}.{path.stem}" if path.stem != "__init__" else f"{package}.{kind}")
seconds = time.process_time() - began
dag_files = sorted((root / "example_dags").glob("*.py"))
for path in dag_files:
    runpy.run_path(str(path))
extra = {name.partition(".")[0] for name in set(sys.modules) - paid}
print(json.dumps({"seconds": seconds, "files": len(dag_files), "extra": sorted(extra - sys.stdlib_module_names)}))
"""


def test_parsing_dag_files_needs_no_network_and_imports_nothing_heavy():
    """On top of what Airflow itself has imported by then; the cost is printed, not judged."""
    command = [sys.executable, "-W", "ignore", "-c", PARSE, PACKAGE, str(ROOT)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    found = json.loads(answer.stdout.splitlines()[-1])
    print(f"importing every operator, sensor and transfer took {1000 * found['seconds']:.0f} ms of CPU")
    assert found["files"] > 0
    heavy = {
        "aiohttp",
        "duckdb",
        "numpy",
        "oauthlib",
        "openlineage",
        "pandas",
        "pyarrow",
        "requests",
        "requests_oauthlib",
        "starlette",
    }
    assert not heavy & set(found["extra"])
