"""How Sphinx builds these pages: ``python -m sphinx -W -b html docs docs/_build``."""  # noqa: INP001  # no package

from __future__ import annotations

import logging
import re
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent

project = "airflow-workflow-provider"
author = "The authors of airflow-workflow-provider"
copyright = author  # noqa: A001  # Sphinx wants this name
_found = re.search(r'__version__ = "([^"]+)"', (ROOT / "airflow_workflow_provider" / "__init__.py").read_text())
release = version = _found[1] if _found else ""

extensions = ["myst_parser", "sphinx.ext.autodoc"]
if find_spec("sphinx_copybutton"):
    extensions.append("sphinx_copybutton")
copybutton_exclude = ".linenos, .gp, .go"
exclude_patterns = ["_build"]
source_suffix = {".md": "markdown"}
myst_heading_anchors = 3
myst_enable_extensions = ["deflist"]

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
html_theme = "furo"
html_title = f"{project} {release}"
html_static_path = ["_static"]
html_css_files = ["tables.css"]
html_theme_options = {
    "source_repository": "https://github.com/airflow-workflow-provider/airflow-workflow-provider/",
    "source_branch": "main",
    "source_directory": "docs/",
}

# Warnings of Airflow itself, which autodoc imports, do not concern these pages.
warnings.simplefilter("ignore")
logging.getLogger("airflow").setLevel(logging.ERROR)


def code_in_docstrings(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Turn the single backticks of our docstrings into code, also if a letter follows them directly."""
    lines[:] = [re.sub(r"(?<![`:\w])`([^`<]+)`(?!`)", r"``\1``\\ ", line) for line in lines]


def setup(app: Any) -> None:
    """Sphinx calls this."""
    app.connect("autodoc-process-docstring", code_in_docstrings)
