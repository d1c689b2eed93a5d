"""JSON files: an array of objects, or objects one after the other (JSON lines). Read piece by piece, digits kept."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from itertools import islice
from typing import Any, BinaryIO

from airflow_workflow_provider.exceptions import OutputUnavailable
from airflow_workflow_provider.outputs.json_values import columns_of
from airflow_workflow_provider.outputs.raw import Raw, Wanted
from airflow_workflow_provider.protocol.effects import exact_number

ROWS = 10_000  # a batch
PIECE = 1 << 20  # bytes
_BLANKS = " \t\r\n"


def read_json(file: BinaryIO, wanted: Wanted) -> Iterator[Raw]:
    """Give the objects as raw batches; a key that an object lacks has no value there."""
    names: dict[str, str] = {}
    first_row = 1
    found = objects(file, wanted.where)
    while rows := list(islice(found, ROWS)):
        for row in rows:
            names.update(dict.fromkeys(row, "any"))
        kept = {name: names[name] for name in wanted.of(list(names))}
        batch, seen = columns_of(
            rows, kept, typed=wanted.known(kept), before=wanted.before, first_row=first_row, where=wanted.where
        )
        yield Raw(batch, seen, tuple(names), complete=False)
        first_row += len(rows)


def objects(file: BinaryIO, where: str) -> Iterator[dict[str, Any]]:
    """Give the objects of a file one by one. Raises `OutputUnavailable` when it is something else, or breaks off."""
    text = _Text(file, where)
    start = text.next_mark()
    in_array = start == "["
    if in_array:
        text.skip()
    row = 0
    while mark := text.next_mark():
        if in_array and mark in ",]" and (mark == "]" or row):
            text.skip()
            if mark == "]":
                if text.next_mark():
                    raise text.error("something follows the closing bracket")
                return
            continue
        row += 1
        value = text.value(row)
        if not isinstance(value, dict):
            raise text.error(f"row {row} is no object")
        yield value
    if in_array:
        raise text.error("it ends before its closing bracket")


class _Text:
    """A window on the file's text that moves on as values are taken."""

    def __init__(self, file: BinaryIO, where: str) -> None:
        self._file, self._where = file, where
        self._decode = codecs.getincrementaldecoder("utf-8-sig")().decode
        self._text, self._at, self._ended = "", 0, False
        self._parse = json.JSONDecoder(parse_float=exact_number).raw_decode

    def error(self, reason: str) -> OutputUnavailable:
        return OutputUnavailable(f"{self._where}the file cannot be read as JSON objects: {reason}")

    def next_mark(self) -> str:
        """Skip blanks and give the character that follows; empty at the end."""
        while True:
            while self._at < len(self._text) and self._text[self._at] in _BLANKS:
                self._at += 1
            if self._at < len(self._text) or not self._more():
                return self._text[self._at : self._at + 1]

    def skip(self) -> None:
        self._at += 1

    def value(self, row: int) -> Any:
        """Take the value that starts here, reading on while it is cut off."""
        while True:
            try:
                value, self._at = self._parse(self._text, self._at)
            except (ValueError, RecursionError) as error:
                if isinstance(error, RecursionError) or not self._more():
                    raise self.error(f"row {row} is no JSON: {error}") from error
            else:
                return value

    def _more(self) -> bool:
        """Read on; twice as much each time, so that one huge value is not parsed over and over."""
        if self._ended:
            return False
        data = self._file.read(max(PIECE, len(self._text) - self._at))
        self._ended = not data
        try:
            self._text = self._text[self._at :] + self._decode(data, final=self._ended)
        except UnicodeDecodeError as error:
            raise self.error(f"it is not UTF-8: {error.reason}") from error
        self._at = 0
        return True
