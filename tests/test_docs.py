"""README and docs are checked against the code: tables, names, links, code blocks, messages."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from airflow_workflow_provider import exceptions
from airflow_workflow_provider.hooks.workflow import WorkflowHook
from airflow_workflow_provider.operators.workflow import RunWorkflowOperator
from airflow_workflow_provider.protocol.model import Run, RunHandle
from airflow_workflow_provider.protocol.parameters import READERS
from airflow_workflow_provider.systems import SYSTEMS
from docs import tables

ROOT = Path(__file__).parent.parent
SITE = "https://airflow-workflow-provider.readthedocs.io/"
PACKAGE = "airflow_workflow_provider"
PAGES = tables.pages()
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def label(path: Path) -> str:
    return str(path.relative_to(ROOT))


def text_of(name: str) -> str:
    """A page's source."""
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(path: Path, language: str) -> list[str]:
    """The code blocks of a page in one language."""
    return [body for found, body in BLOCK.findall(path.read_text(encoding="utf-8")) if found == language]


def prose(path: Path) -> str:
    """A page without its code blocks."""
    return re.sub(r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def rows(name: str, head: str) -> list[list[str]]:
    """The cells of the tables whose first column has this head."""
    found: list[list[str]] = []
    inside = False
    for line in text_of(name).splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if cells and cells[0] == head:
            inside = True
        elif not line.startswith("|"):
            inside = False
        elif inside and not set(cells[0]) <= set("-: "):
            found.append(cells)
    return found


RUNNABLE = [path for path in PAGES if blocks(path, "python")]
each_page = pytest.mark.parametrize("path", PAGES, ids=label)


# ---- tables


@each_page
def test_the_tables_are_those_of_the_code(path):
    text = path.read_text(encoding="utf-8")
    assert tables.renewed(text) == text, "out of date: run `python docs/tables.py` and look at what it changes"


@pytest.mark.parametrize("key", SYSTEMS)
def test_every_system_has_its_tables(key):
    assert f"<!-- table: states {key} -->" in text_of(f"docs/systems/{key}.md")
    assert f"<!-- table: connection {key} -->" in text_of("docs/connections.md")
    assert f"<!-- table: switches {key} -->" in text_of("docs/sandbox.md")


def test_every_argument_of_the_run_operators_is_described():
    signature = inspect.signature(RunWorkflowOperator.__init__).parameters
    own = {name for name, one in signature.items() if one.kind is one.KEYWORD_ONLY}
    described = {name for cell, *_ in rows("docs/running.md", "Argument") for name in re.findall(r"`(\w+)`", cell)}
    assert described == own


@pytest.mark.parametrize("key", SYSTEMS)
def test_every_argument_that_only_one_system_has_is_on_its_page(key):
    operator = getattr(importlib.import_module(f"{PACKAGE}.operators.{key}"), tables.operator_name(key))
    text = text_of(f"docs/systems/{key}.md")
    assert not [name for name in (*operator.start_option_names, *operator.watch_option_names) if f"`{name}" not in text]


def test_the_types_of_parameters_exist():
    described = {name.strip("`") for name, *_ in rows("docs/running.md", "Type")}
    assert described <= set(READERS)
    assert {id(READERS[name]) for name in described} == {id(reader) for reader in READERS.values()}


def test_the_methods_of_the_hook_exist_as_described():
    for cell, *_ in rows("docs/running.md", "Method"):
        (described,) = ast.parse(f"def {cell.strip('`')}: ...").body
        parameters = inspect.signature(getattr(WorkflowHook, described.name)).parameters
        assert bool(described.args.kwarg) == any(one.kind is one.VAR_KEYWORD for one in parameters.values()), cell
        positional, by_name = described.args.args, described.args.kwonlyargs
        assert all(parameters[one.arg].kind is inspect.Parameter.POSITIONAL_OR_KEYWORD for one in positional), cell
        assert all(parameters[one.arg].kind is inspect.Parameter.KEYWORD_ONLY for one in by_name), cell
        values = described.args.defaults
        optional = positional[len(positional) - len(values) :] + by_name
        for one, value in zip(optional, [*values, *described.args.kw_defaults], strict=True):
            assert ast.literal_eval(value) == parameters[one.arg].default, cell


def test_every_error_is_explained():
    described = {name for cell, *_ in rows("docs/errors.md", "Error") for name in re.findall(r"`(\w+)`", cell)}
    public = {
        name for name, one in vars(exceptions).items() if inspect.isclass(one) and one.__module__.startswith(PACKAGE)
    }
    assert described == {name for name in public if not name.startswith("_")} - {"WorkflowError"}


def test_the_run_object_is_described_key_by_key():
    described = {name for cell, *_ in rows("docs/running.md", "Key") for name in re.findall(r"`(\w+)`", cell)}
    assert described == set(Run("s", "c", "w", "r", handle=RunHandle({"grace": 1})).to_json())


def test_the_extras_and_versions_are_those_of_the_package():
    project = tomllib.loads(text_of("pyproject.toml"))["project"]
    named = {name.strip("`") for name, *_ in rows("README.md", "Extra")}
    assert named == set(project["optional-dependencies"]) - {"bench", "cluster", "dev", "warehouses"}
    (minimum,) = [one.partition(">=")[2] for one in project["dependencies"] if one.startswith("apache-airflow>")]
    assert f"Airflow {minimum.removesuffix('.0')} and 3.x" in text_of("README.md")


# ---- names and links


def dotted_names(text: str) -> Iterator[str]:
    """Everything that looks like a name inside the package."""
    yield from re.findall(rf"\b{PACKAGE}(?:\.\w+)+", text)


def resolve(name: str) -> Any:
    """Import what a dotted name says; AttributeError or ImportError where there is no such thing."""
    parts = name.split(".")
    for place in range(len(parts), 0, -1):
        module = ".".join(parts[:place])
        if find_spec(module) is None if place == 1 else not _is_module(module):
            continue
        found: Any = importlib.import_module(module)
        for part in parts[place:]:
            found = getattr(found, part)
        return found
    raise ImportError(name)


def _is_module(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:
        return False


@each_page
def test_the_names_of_the_package_exist(path):
    for name in dotted_names(path.read_text(encoding="utf-8")):
        resolve(name)


@each_page
def test_the_files_that_are_named_exist(path):
    for name in re.findall(r"`((?:\w+/)+[\w.]*)`", prose(path)):
        if name.startswith("dags/"):  # the reader's own
            continue
        places = (ROOT / name, ROOT / PACKAGE / name)
        assert any(place.exists() for place in places) or name.startswith(("docs/_build", "webapi")), name


@each_page
def test_the_code_that_is_included_is_there(path):
    for body in re.findall(r"^```\{literalinclude\} (.*?)^```$", path.read_text(), re.MULTILINE | re.DOTALL):
        source = (path.parent / body.splitlines()[0].strip()).resolve().read_text()
        markers = re.findall(r'^:(?:start-after|end-before): "(.*)"$', body, re.MULTILINE)
        assert len(markers) == 2
        assert all(source.count(marker) == 1 for marker in markers), markers


def anchors(path: Path) -> set[str]:
    """The anchors of a page's headings, as Markdown readers make them."""
    heads = re.findall(r"^#+ (.+)$", prose(path), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.strip().lower()).replace(" ", "-") for head in heads}


@each_page
def test_the_links_between_the_pages_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(path)):
        if re.match(r"\w+:", target):
            assert target.startswith("https://"), target
            if target.startswith(SITE):
                page, _, anchor = target.removeprefix(SITE).partition("#")
                assert_is_anchor(ROOT / "docs" / page.replace(".html", ".md"), anchor)
            continue
        name, _, anchor = target.partition("#")
        assert_is_anchor((path.parent / name).resolve() if name else path, anchor)


def assert_is_anchor(page: Path, anchor: str) -> None:
    """The page exists, and has the heading that the anchor names, if any."""
    assert page.exists(), page
    assert not anchor or anchor in anchors(page), f"{page}#{anchor}"


def test_the_links_of_the_readme_work_on_any_page_that_shows_it():
    """A package index shows it without the other files of the repository."""
    assert not [
        target for target in re.findall(r"\]\(([^)\s]+)\)", text_of("README.md")) if not re.match(r"\w+:", target)
    ]


def test_every_page_is_in_a_table_of_contents():
    contents = re.findall(r"^```\{toctree\}\n(.*?)^```$", text_of("docs/index.md"), re.MULTILINE | re.DOTALL)
    listed = {line for body in contents for line in body.splitlines()}
    pages = {str(path.relative_to(ROOT / "docs").with_suffix("")) for path in PAGES if path.name != "README.md"}
    assert pages - {"index"} <= listed


# ---- the reference

# Modules that users import from; each class that they define is public, unless its name begins with an underscore.
PUBLIC = [
    *(f"{kind}.{name}" for kind in ("hooks", "operators", "sensors") for name in [*SYSTEMS, "workflow"]),
    "exceptions",
    "retry_policy",
    "transfers.base",
    "transfers.workflow_to_object_storage",
    "transfers.workflow_to_sql",
    "triggers.events",
    "triggers.workflow",
]
# Modules that say by ``__all__`` what they export; some come with a later version.
EXPORTING = [name for name in ("testing", "sdk") if _is_module(f"{PACKAGE}.{name}")]


def documented() -> set[str]:
    """The names in the reference."""
    return set(re.findall(rf"^\.\. auto\w+:: {PACKAGE}\.([\w.]+)$", text_of("docs/api.md"), re.MULTILINE))


@pytest.mark.parametrize("module", PUBLIC)
def test_every_class_that_users_import_is_in_the_reference(module):
    found = importlib.import_module(f"{PACKAGE}.{module}")
    classes = {one.__name__ for one in tables.own_classes(found) if not one.__name__.startswith("_")}
    assert {f"{module}.{name}" for name in classes} <= documented()


@pytest.mark.parametrize("module", EXPORTING)
def test_every_exported_name_is_in_the_reference(module):
    exported = importlib.import_module(f"{PACKAGE}.{module}").__all__
    pages = text_of("docs/api.md") + "".join(page.read_text() for page in PAGES if "system" in page.stem)
    assert not [name for name in exported if name not in pages]


def test_every_public_method_of_the_hook_is_in_the_reference():
    page = text_of("docs/api.md")
    listed = set(re.findall(r"\w+", page.partition("hooks.workflow.WorkflowHook\n")[2].partition(".. auto")[0]))
    described = {cell.strip("`").partition("(")[0] for cell, *_ in rows("docs/running.md", "Method")}
    assert described <= listed


def test_every_name_in_the_reference_exists():
    for name in documented():
        resolve(f"{PACKAGE}.{name}")


# ---- code blocks


@each_page
def test_the_python_blocks_compile_and_their_imports_resolve(path):
    for code in blocks(path, "python"):
        tree = ast.parse(code)
        compile(tree, label(path), "exec")
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(PACKAGE):
                for alias in node.names:
                    resolve(f"{node.module}.{alias.name}")


EACH_BLOCK = [
    pytest.param(path, code, id=f"{label(path)}-{place}")
    for path in PAGES
    for place, code in enumerate(blocks(path, "python"))
    # Tests of their own, which tests/testing runs.
    if "import pytest" not in code
]


@pytest.mark.parametrize(("path", "code"), EACH_BLOCK)
def test_each_python_block_runs_by_itself(path, code, sandbox):
    """A reader copies it as it is: into a file of its own, with the sandbox's connections."""
    sandbox.settings("alteryx", queued_seconds=0.1, running_seconds=0.1)
    with mock.patch.dict(os.environ):
        try:
            exec(compile(code, label(path), "exec"), {"__name__": "docs"})  # noqa: S102  # the pages are ours
        except exceptions.NotSupported as error:
            assert "needs Airflow" in str(error), error  # noqa: PT017  # it says so on the page too


@each_page
def test_the_json_blocks_are_json(path):
    for body in blocks(path, "json"):
        json.loads(body)


@each_page
def test_the_shell_blocks_are_shell(path):
    for body in blocks(path, "sh"):
        checked = subprocess.run(["/bin/sh", "-n"], input=body, text=True, capture_output=True, check=False)
        assert checked.returncode == 0, checked.stderr


@each_page
def test_every_make_target_that_is_named_exists(path):
    targets = set(re.findall(r"^([a-z0-9-]+):", text_of("Makefile"), re.MULTILINE))
    assert set(re.findall(r"^`?make ([a-z0-9-]+)", path.read_text(encoding="utf-8"), re.MULTILINE)) <= targets


def test_the_faults_on_the_sandbox_page_can_be_planned(sandbox):
    for body in blocks(ROOT / "docs" / "sandbox.md", "sh"):
        for fault in re.findall(r"/_sandbox/faults -d '(.*?)'", body, re.DOTALL):
            sandbox.fault(**json.loads(fault))
        for system, changes in re.findall(r"/_sandbox/settings/(\w+) -d '(.*?)'", body, re.DOTALL):
            sandbox.settings(system, **json.loads(changes))
    assert len(sandbox.faults()) >= 5


# ---- messages


@pytest.fixture(scope="module")
def literals() -> str:
    """All text that stands in the package's code; the sandbox's too, for what servers say."""
    found = []
    for path in (ROOT / PACKAGE).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                found.append("".join(str(one.value) if isinstance(one, ast.Constant) else "\0" for one in node.values))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return "\n".join(found)


@pytest.mark.parametrize("key", SYSTEMS)
def test_the_messages_under_troubleshooting_are_real(key, literals):
    listed = rows(f"docs/systems/{key}.md", "Message")
    assert listed
    for cell, _ in listed:
        for message in re.findall(r"`([^`]+)`", cell):
            # An ellipsis, a number, or a name in quotes differs from case to case.
            for part in re.split(r"…|HTTP \d+|'[^']*'|\d{2,}|: ", message):
                words = part.strip(" .;,:")
                assert len(words) < 4 or words in literals, f"{cell}: the code has no text {words!r}"


# ---- the build


@pytest.mark.system
@pytest.mark.skipif(find_spec("sphinx") is None, reason="sphinx is not installed here")
def test_the_pages_build_without_a_warning(tmp_path):
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", "docs", str(tmp_path / "html")]
    built = subprocess.run(
        [*command, "-d", str(tmp_path / "trees")], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr
    assert (tmp_path / "html" / "systems" / "carto.html").exists()
