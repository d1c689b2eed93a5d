"""How CARTO names the stored procedure of a workflow and the table that a run of it leaves."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping


def workflow_hash(workflow_id: str) -> str:
    """The hash in a procedure's name: sha1 of the workflow id, 16 hex digits (agent-skills, mcp-and-api-publish)."""
    return hashlib.sha1(workflow_id.encode(), usedforsecurity=False).hexdigest()[:16]


def output_hash(values: Mapping[str, float | str]) -> str:
    """The hash in an out table's name: MD5 of the values' text, comma-joined, 16 hex digits.

    Exported procedures show ``MD5(ARRAY_TO_STRING([CAST(p1 AS STRING), ...], ','))`` after defaults were put in.
    The alphabetical order of the parameters is inferred from one export with two of them.
    """
    text = ",".join(value_text(values[name]) for name in sorted(values))
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()[:16]


def value_text(value: float | str) -> str:
    """A value as BigQuery's ``CAST(x AS STRING)`` writes it: 500.0 becomes ``500`` (inferred)."""
    if isinstance(value, str):
        return value
    return repr(value).removesuffix(".0")


def output_table(procedure: str, values: Mapping[str, float | str]) -> str:
    """The out table of one run: ``<procedure>_out_<hash>``."""
    return f"{procedure}_out_{output_hash(values)}"
