"""Generates the tables in README and docs from the code: ``python docs/tables.py`` writes them, a test compares them.

A table stands between ``<!-- table: NAME ARGUMENT -->`` and ``<!-- end of table -->``; NAME is a function below.
"""  # noqa: INP001  # a folder of pages is no package

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from airflow_workflow_provider import exceptions  # noqa: E402  # found through the line above
from airflow_workflow_provider.hooks.workflow import WorkflowHook  # noqa: E402
from airflow_workflow_provider.operators.workflow import RunWorkflowOperator  # noqa: E402
from airflow_workflow_provider.protocol.capabilities import CanCancel, CanListRuns, CanListWorkflows  # noqa: E402
from airflow_workflow_provider.protocol.lifecycle import TABLE, Phase  # noqa: E402
from airflow_workflow_provider.protocol.system import Field, WorkflowSystem  # noqa: E402
from airflow_workflow_provider.sensors.workflow import WorkflowRunSensor  # noqa: E402
from airflow_workflow_provider.systems import SYSTEMS  # noqa: E402
from scripts.environment import ENVIRONMENTS, pinned  # noqa: E402
from scripts.versions import FEATURES  # noqa: E402

BLOCK = re.compile(r"(<!-- table: (\w+) ?([\w.]*) -->\n).*?(<!-- end of table -->)", re.DOTALL)
PRODUCTS = {
    "carto": ("CARTO Workflows", "a SQL API job that calls the workflow's procedure"),
    "alteryx": ("Alteryx Server", "a job of an app"),
    "stevesie": ("Stevesie Cloud", "an execution of a workflow"),
    "chorus": ("TIBCO Data Science Team Studio (Alpine Chorus)", "a process of the engine, a Job, or a workfile's run"),
    "invision": ("Profitbase InVision", "a run of a data flow, or of a flow of Profitbase Flow"),
}
TABLES: dict[str, Callable[..., Iterator[str]]] = {}
CORE_FIELDS = ("host", "schema", "port", "login", "password")
# What Airflow calls its own fields, where a system does not call them otherwise.
PLAIN_LABELS = {"schema": "Schema", "port": "Port"}
PLAIN_MEANINGS = {
    "schema": "`https` (default) or `http`, if the host is a bare name.",
    "port": "The port, if the host does not contain it.",
}


def table(function: Callable[..., Iterator[str]]) -> Callable[..., Iterator[str]]:
    """Register a function that generates the table of its name."""
    TABLES[function.__name__] = function
    return function


def pages() -> list[Path]:
    """Every page: README and what is below docs."""
    built = ROOT / "docs" / "_build"
    return [ROOT / "README.md", *(path for path in sorted((ROOT / "docs").rglob("*.md")) if built not in path.parents)]


def renewed(text: str) -> str:
    """A page with all its tables as the code has them now."""

    def generated(found: re.Match[str]) -> str:
        name, argument = found[2], found[3]
        lines = TABLES[name](argument) if argument else TABLES[name]()
        return found[1] + "\n".join(lines) + "\n" + found[4]

    return BLOCK.sub(generated, text)


@table
def systems() -> Iterator[str]:
    """The systems: what a run is, and what each API can do."""
    rows = []
    for key in SYSTEMS:
        product, run = PRODUCTS[key]
        can = [name.lower() for name, answer in zip(ABILITIES, abilities(key), strict=True) if answer == "yes"]
        rows.append([product, code(key), run, ", ".join(can) or "neither cancel nor list"])
    yield from grid(["System", "`conn_type`", "A run is", "The API can"], rows)


@table
def capabilities() -> Iterator[str]:
    """What each API can do."""
    yield from grid(["System", *ABILITIES], ([PRODUCTS[key][0], *abilities(key)] for key in SYSTEMS))


@table
def classes() -> Iterator[str]:
    """The hook, the run operator and the sensor of each system."""
    kinds = (("hooks", WorkflowHook), ("operators", RunWorkflowOperator), ("sensors", WorkflowRunSensor))
    rows = [
        [PRODUCTS[key][0], *(code(f"{kind}.{key}.{facade(kind, base, key)}") for kind, base in kinds)]
        for key in SYSTEMS
    ]
    yield from grid(["System", "Hook", "Run operator", "Sensor"], rows)


ABILITIES = ("Cancel", "List workflows", "Find runs")


def abilities(key: str) -> list[str]:
    """Whether the API of a system can cancel, list workflows, and list runs."""
    system = SYSTEMS[key]
    can = tuple(map(system.offers, (CanCancel, CanListWorkflows, CanListRuns)))
    return ["yes" if one else "no" for one in can]


@table
def defaults() -> Iterator[str]:
    """What differs between the run operators: the poll interval, and the arguments that only one has."""
    rows = []
    for key, system in SYSTEMS.items():
        operator = getattr(import_module(f"airflow_workflow_provider.operators.{key}"), operator_name(key))
        own = ", ".join(code(name) for name in (*operator.start_option_names, *operator.watch_option_names))
        rows.append([code(operator_name(key)), f"{system.poll_interval:g} s", own])
    yield from grid(["Operator", "Default `poll_interval`", "Its own arguments"], rows)


@table
def versions() -> Iterator[str]:
    """The pairs of Airflow and Python that `make test-matrix` tests."""
    rows = [
        [pinned(name, "apache-airflow").partition("==")[2], ", ".join(sorted(pins.pythons))]
        for name, pins in ENVIRONMENTS.items()
        if name not in {"bench", "lowest", "warehouses"}
    ]
    yield from grid(["Airflow", "Python"], rows)


@table
def features() -> Iterator[str]:
    """What depends on the version of Airflow."""
    rows = [[feature.text, feature.since, feature.instead] for feature in FEATURES]
    yield from grid(["Feature", "Since Airflow", "Before"], rows)


@table
def arguments(path: str) -> Iterator[str]:
    """Every argument of a class that its base classes in this package do not have, with default and meaning.

    :param path: module and name of the class below the package, such as ``operators.carto.CartoRunWorkflowOperator``
    """
    module, _, name = path.rpartition(".")
    found = getattr(import_module(f"airflow_workflow_provider.{module}"), name)
    ours = [one for one in found.__mro__ if one.__module__.startswith("airflow_workflow_provider.")]
    inherited = {name for one in ours[1:] for name in parameters(one) if one.__name__ in SHARED}
    meaning: dict[str, str] = {}
    for one in reversed(ours):
        meaning |= descriptions(one)
    rows = [
        [code(name), default_of(parameter), meaning.get(name, "")]
        for name, parameter in parameters(found).items()
        if name not in inherited
    ]
    yield from grid(["Argument", "Default", "Meaning"], rows)


# Classes whose arguments have a table of their own.
SHARED = ("RunWorkflowOperator", "WorkflowRunSensor", "WorkflowOutputTransfer")
# Defaults that an expression computes.
COMPUTED = {"deferrable": "`[operators] default_deferrable`"}


def parameters(one: type) -> dict[str, inspect.Parameter]:
    """The parameters that a class's own constructor names."""
    if "__init__" not in vars(one):
        return {}
    skipped = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    found = inspect.signature(vars(one)["__init__"]).parameters
    return {name: each for name, each in found.items() if name != "self" and each.kind not in skipped}


def descriptions(one: type) -> dict[str, str]:
    """What a class's docstring says of each parameter."""
    text = inspect.cleandoc(vars(one).get("__doc__") or "")
    found = re.findall(r"^:param (\w+): (.*?)(?=^:\w|^\S|\Z)", text, re.MULTILINE | re.DOTALL)
    return {name: sentence(markdown(" ".join(body.split()))) for name, body in found}


def markdown(text: str) -> str:
    """A docstring's text with the code marks of Markdown."""
    text = re.sub(r":\w+:`~?([^`]*?)`", lambda role: f"`{role[1].rpartition('.')[2] or role[1]}`", text)
    return text.replace("``", "`").replace(" (templated)", " Templated")


def default_of(parameter: inspect.Parameter) -> str:
    """A parameter's default as code."""
    if parameter.default is inspect.Parameter.empty:
        return "required"
    if parameter.name in COMPUTED:
        return COMPUTED[parameter.name]
    text = json_text(parameter.default) if isinstance(parameter.default, str) else repr(parameter.default)
    return code(text)


@table
def connection(key: str) -> Iterator[str]:
    """Every field of a system's connection."""
    system = SYSTEMS[key]
    rows = [core_field(system, name) for name in CORE_FIELDS if name not in system.form.hidden]
    rows += [extra_field(name, field) for name, field in system.form.extras.items()]
    yield from grid(["Field", "In the form", "What it holds"], rows)


@table
def states(key: str) -> Iterator[str]:
    """A system's own words, and what they are taken for."""
    yield from grid(
        ["The system says", "State of the run"],
        [[code(word), code(state.value)] for word, state in SYSTEMS[key].states.items()],
    )


@table
def flow_states() -> Iterator[str]:
    """The numbers of Profitbase Flow."""
    from airflow_workflow_provider.systems.invision.flow_api import STATES

    yield from grid(
        ["`executionState`", "State of the run"],
        [[code(str(number)), code(state.value)] for number, state in STATES.items()],
    )


@table
def errors() -> Iterator[str]:
    """The tree of errors, as the module draws it."""
    tree = inspect.getdoc(exceptions) or ""
    yield from ["```text", *tree.partition("\n\n")[2].splitlines(), "```"]


@table
def policy() -> Iterator[str]:
    """What happens after each error."""
    from airflow_workflow_provider.protocol.policy import POLICY, Ends, Endured

    during = {
        Endured.ALWAYS: "the task keeps polling",
        Endured.FIVE: "the fifth in a row ends the try",
        Endured.NEVER: "ends the try",
    }
    ends = {Ends.TRY: "Airflow retries the task", Ends.TASK: "the task fails without retries"}
    rows = [
        [code(kind.__name__), "yes" if one.is_retried else "no", during[one.endured], ends[one.ends]]
        for kind, one in POLICY.items()
        if kind is not exceptions.WorkflowError
    ]
    yield from grid(["Error", "Request sent again within the try", "While the task waits for a run", "Otherwise"], rows)


@table
def sdk() -> Iterator[str]:
    """Every name of the SDK, with the first sentence of its description."""
    from airflow_workflow_provider import sdk as module

    rows = []
    for name in module.__all__:
        one = getattr(module, name)
        known = inspect.isclass(one) or inspect.isfunction(one)
        text = (
            " ".join((inspect.getdoc(one) or "").split("\n\n")[0].split())
            if known
            else f"A constant: `{type(one).__name__}`."
        )
        rows.append([code(name), markdown(text if len(text) < 200 else text[:197] + "…")])
    yield from grid(["Name", "Description"], rows)


@table
def fault_kinds() -> Iterator[str]:
    """What the sandbox can do to a request."""
    from airflow_workflow_provider.sandbox.faults import KINDS

    yield from grid(["`kind`", "What happens"], [[code(kind), meaning] for kind, meaning in KINDS.items()])


@table
def switches(key: str) -> Iterator[str]:
    """The switches of one sandbox system with their defaults."""
    from airflow_workflow_provider.sandbox.systems import systems as sandbox_systems

    (system,) = [one for one in sandbox_systems() if one.key == key]
    values = system.settings.to_json()
    yield from grid(["Switch", "Default"], [[code(name), code(json_text(value))] for name, value in values.items()])


@table
def life_cycle() -> Iterator[str]:
    """The phases of a run's life, and what each event does; kills and errors are told in the text."""
    rows = [
        [phase.value, event.value, action.value, following.value]
        for (phase, event), (action, following) in TABLE.items()
        if phase not in (Phase.KILLED, Phase.LEFT)
    ]
    yield from grid(["Phase", "Event", "Action", "Next phase"], rows)


def facade(kind: str, base: type, key: str) -> str:
    """The name of the one class that a module has for its system."""
    module = import_module(f"airflow_workflow_provider.{kind}.{key}")
    (found,) = [one for one in own_classes(module) if issubclass(one, base)]
    return found.__name__


def operator_name(key: str) -> str:
    """The name of a system's run operator."""
    return facade("operators", RunWorkflowOperator, key)


def own_classes(module: ModuleType) -> list[type]:
    """The classes that a module defines itself."""
    return [one for one in vars(module).values() if inspect.isclass(one) and one.__module__ == module.__name__]


def core_field(system: type[WorkflowSystem], name: str) -> list[str]:
    """The row of one of Airflow's own fields."""
    form = system.form
    example = form.placeholders.get(name)
    meaning = PLAIN_MEANINGS.get(name, "")
    if example:
        meaning = (
            f"{meaning} Such as `{example}`."
            if "://" in example or example.isdigit()
            else f"{meaning} {sentence(example)}"
        )
    secret = "Secret." if name == "password" else ""
    return [code(name), form.labels.get(name, PLAIN_LABELS.get(name, "")), joined(meaning, secret)]


def extra_field(name: str, field: Field) -> list[str]:
    """The row of a field that is kept in the connection's extra."""
    choices = f"One of {', '.join(map(code, field.choices))}." if field.choices else ""
    return [
        f"`extra.{name}`",
        field.label,
        joined(field.description, choices, "Secret." if field.secret else ""),
    ]


def grid(heads: list[str], rows: Iterable[list[str]]) -> Iterator[str]:
    """A Markdown table."""
    yield line(heads)
    yield line(["---"] * len(heads))
    for row in rows:
        yield line(row)


def line(cells: list[str]) -> str:
    """One line of a table."""
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def code(text: str) -> str:
    """Text in the font of code."""
    return f"`{text}`"


def joined(*parts: str) -> str:
    """Sentences in a row, the empty ones left out."""
    return " ".join(part.strip() for part in parts if part.strip())


def sentence(text: str) -> str:
    """Text with a capital at its beginning and a stop at its end."""
    return text[:1].upper() + text[1:].rstrip(".") + "."


def json_text(value: object) -> str:
    """A switch's value as JSON has it."""
    import json

    return json.dumps(value)


def main() -> int:
    """Renew the tables of every page."""
    for path in pages():
        old = path.read_text(encoding="utf-8")
        new = renewed(old)
        if new != old:
            path.write_text(new, encoding="utf-8")
            print(f"renewed the tables of {path.relative_to(ROOT)}")  # noqa: T201  # talks to a person at a terminal
    return 0


if __name__ == "__main__":
    sys.exit(main())
