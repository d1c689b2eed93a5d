"""Servers that answer anything: bytes, near misses of real answers, and broken connections."""

from __future__ import annotations

import copy
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from airflow_workflow_provider.protocol.effects import NoAnswer, NotSent, Response

FOLDER = Path(__file__).parent.parent / "samples"
# What a server may echo, and nobody may see again.
GIVEN, READING, MINTED = "given-s3cret-token", "reading-s3cret-token", "minted-s3cret-token"
SECRETS = (GIVEN, READING, MINTED)
echoes = st.sampled_from([*SECRETS, f"Bearer {GIVEN} was refused", f'{{"token": "{MINTED}"}}', f"x{READING}x"])

KEYS = """
status state error errors errorResult message reason data rows schema name type externalId jobMetadata statistics
startTime endTime workflowOutputTableName access_token hint location providerId meta n
"""
WORDS = "DONE done success failure failed running pending cancelled stopped completed hibernating"
words = st.sampled_from([*KEYS.split(), *WORDS.split()])
numbers = st.integers() | st.floats() | st.sampled_from([10**400, -(10**400), 2**63, 1e308, 0, -1])
texts = st.text(max_size=10) | words | echoes
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words | st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)
statuses = st.sampled_from([200, 200, 200, 200, 201, 204, 302, 400, 401, 403, 404, 409, 429, 500, 503]) | st.integers(
    100, 999
)
headers = st.dictionaries(
    st.sampled_from(["retry-after", "location", "content-type"]),
    st.text(max_size=20) | echoes | st.sampled_from(["5", "1e9", "Thu, 01 Jan 2026 12:02:00 GMT", "9" * 400]),
    max_size=2,
)


@lru_cache
def samples(system: str) -> list[Any]:
    """The bodies of a system's recorded answers."""
    return [json.loads(path.read_text())["answer"]["body"] for path in sorted((FOLDER / system).glob("*.json"))]


def places(document: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a document."""
    inner: list[tuple[Any, ...]] = []
    if isinstance(document, dict):
        inner = [place for key, value in document.items() for place in places(value, (*path, key))]
    elif isinstance(document, list):
        inner = [place for index, value in enumerate(document) for place in places(value, (*path, index))]
    return [path, *inner]


@st.composite
def mutations(draw: st.DrawFn, documents: list[Any]) -> Any:
    """A recorded answer with up to three of its values exchanged, dropped or moved."""
    document = {"top": copy.deepcopy(draw(st.sampled_from(documents)))}
    for _ in range(draw(st.integers(0, 3))):
        *path, last = draw(st.sampled_from(places(document)[1:]))
        holder: Any = document
        for step in path:
            holder = holder[step]
        if draw(st.booleans()):
            holder[last] = draw(values)
        elif isinstance(holder, dict) and holder is not document:
            holder[draw(words)] = holder.pop(last)
    return document["top"]


@st.composite
def broken(draw: st.DrawFn, documents: list[Any]) -> bytes:
    """The bytes of a recorded answer, cut or with a byte exchanged."""
    data = bytearray(json.dumps(draw(st.sampled_from(documents))).encode())
    place = draw(st.integers(0, max(len(data) - 1, 0)))
    if draw(st.booleans()):
        return bytes(data[:place])
    data[place : place + 1] = draw(st.binary(max_size=3))
    return bytes(data)


@lru_cache
def answers(system: str) -> st.SearchStrategy[Any]:
    """Anything that can come back from a request to a system."""
    documents = samples(system)
    as_json = (mutations(documents) | values).map(lambda value: json.dumps(value).encode())
    echoed = echoes.map(str.encode)
    nested = st.sampled_from([b"[" * 50_000, b'{"data":' * 900 + b"1" + b"}" * 900, b"\xef\xbb\xbf{}", b"<html>"])
    bodies = as_json | as_json | as_json | broken(documents) | st.binary(max_size=20) | echoed | nested
    failures = st.builds(NoAnswer, texts) | st.builds(NotSent, texts)
    return st.builds(Response, statuses, headers, bodies) | st.builds(Response, statuses, headers, bodies) | failures
