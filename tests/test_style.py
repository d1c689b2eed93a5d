"""The language of pages and docstrings: plain English, in the terms of the field."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from docs.tables import pages

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "airflow_workflow_provider"
# Words of sentences that a reader must translate, from reviews of the documentation.
ODD = (
    r"anew|of ours|whom|nobody|is told|tells of|goes on from|hands on|seldom|for ever|otherwise than|that is there|"
    r"what becomes of|herd|patience|be believed|just now|a bare id does|never not|goes on and|gone by|not at all|"
    r"wants to know|in the meantime|is no reason to|burnt|hiccup"
)
# A quoted message, such as one of a server, is what it is.
QUOTED = re.compile(r"`[^`]*`|\"[^\"\n]*\"")
PAGES = [*pages(), ROOT / "CONTRIBUTING.md"]
# Generated from docstrings, which are checked where they are written.
GENERATED = {"api.md", "arguments.md", "errors.md", "sandbox.md"}
MODULES = sorted(file for file in PACKAGE.rglob("*.py") if "sandbox" not in file.relative_to(PACKAGE).parts)


def odd_words(text: str) -> list[str]:
    """The odd words of a text, without what it quotes."""
    return re.findall(rf"\b(?:{ODD})\b", QUOTED.sub("", text), re.IGNORECASE)


@pytest.mark.parametrize("path", [path for path in PAGES if path.name not in GENERATED], ids=lambda path: path.name)
def test_a_page_has_no_odd_words(path):
    assert odd_words(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_docstrings_have_no_odd_words(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            text = ast.get_docstring(node) or ""
            assert odd_words(text) == [], text


@pytest.mark.parametrize("path", [path for path in PAGES if "docs" in path.parts], ids=lambda path: path.name)
def test_a_sentence_of_a_page_is_short(path):
    """Forty words are more than anyone reads twice; tables, lists and code are not sentences."""
    text = re.sub(r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"^(\||#|<!--|\s*[*\-]|\s*\d+\.|!\[).*$", "", text, flags=re.MULTILINE)
    for paragraph in re.split(r"\n\s*\n", text):
        for sentence in re.split(r"(?<=[.!?:])\s+", " ".join(paragraph.split())):
            assert len(sentence.split()) <= 40, sentence
