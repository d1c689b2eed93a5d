"""JSON files: an array of objects, or objects one after the other (JSON lines). Read piece by piece, digits kept."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from typing import Any, BinaryIO

from airflow_workflow_provider.exceptions import OutputUnavailable
from airflow_workflow_provider.outputs.csv_file import MOST_COLUMNS
from airflow_workflow_provider.outputs.csv_grammar import LONGEST_ROW
from airflow_workflow_provider.outputs.json_values import columns_of
from airflow_workflow_provider.outputs.raw import Raw, Wanted
from airflow_workflow_provider.outputs.text_encoding import utf8
from airflow_workflow_provider.protocol.effects import exact_number

ROWS = 10_000  # a batch at most
BATCH = 2 << 20  # characters of a batch; one row more may come
PIECE = 1 << 20  # bytes
_BLANKS = " \t\r\n"


def read_json(file: BinaryIO, wanted: Wanted) -> Iterator[Raw]:
    """Give the objects as raw batches; a key that an object lacks has no value there."""
    names: dict[str, str] = {}
    first_row = 1
    for rows in _batches(file, wanted.where):
        _learn(names, rows, wanted.where, first_row)
        kept = {name: names[name] for name in wanted.of(list(names))}
        batch, seen = columns_of(
            rows, kept, typed=wanted.known(kept), before=wanted.before, first_row=first_row, where=wanted.where
        )
        yield Raw(batch, seen, tuple(names), complete=False)
        first_row += len(rows)
        del rows, batch  # they must not stay while the next ones are made
    if not names and first_row > 1:
        raise OutputUnavailable(f"{wanted.where}the objects are empty: {first_row - 1} rows without a column")


def _learn(names: dict[str, str], rows: list[dict[str, Any]], where: str, first_row: int) -> None:
    """Add the keys of these rows; raises `OutputUnavailable` for one that no column can have, or for too many."""
    for row, one in enumerate(rows, first_row):
        if one.keys() <= names.keys():
            continue
        for name in one:
            try:
                name.encode()
            except UnicodeEncodeError as error:
                spelled = name[:80].encode("ascii", "backslashreplace").decode()
                raise OutputUnavailable(
                    f"{where}row {row}: the key {spelled!r} holds half a surrogate pair, which is not a character"
                ) from error
            names[name] = "any"
        if len(names) > MOST_COLUMNS:
            raise OutputUnavailable(f"{where}row {row}: the rows have more than {MOST_COLUMNS:,} different keys")


def _batches(file: BinaryIO, where: str) -> Iterator[list[dict[str, Any]]]:
    """Give the objects in lists that are bounded in rows and in size."""
    text = _Text(file, where)
    rows: list[dict[str, Any]] = []
    start = 0
    for value in _objects(text):
        rows.append(value)
        if len(rows) >= ROWS or text.taken - start >= BATCH:
            yield rows
            rows, start = [], text.taken
    if rows:
        yield rows


def objects(file: BinaryIO, where: str) -> Iterator[dict[str, Any]]:
    """Give the objects of a file one by one. Raises `OutputUnavailable` when it is something else, or breaks off."""
    return _objects(_Text(file, where))


def _objects(text: _Text) -> Iterator[dict[str, Any]]:
    start = text.next_mark()
    in_array = start == "["
    if in_array:
        text.skip()
    row, is_separated = 0, True
    while mark := text.next_mark():
        if in_array and mark == "]" and (is_separated is (row == 0)):
            text.skip()
            if text.next_mark():
                raise text.error("something follows the closing bracket")
            return
        if in_array and mark == "," and not is_separated:
            text.skip()
            is_separated = True
            continue
        if in_array and not is_separated:
            raise text.error(f"there is no comma after row {row}")
        row += 1
        value = text.value(row)
        if not isinstance(value, dict):
            raise text.error(f"row {row} is not an object")
        is_separated = not in_array
        yield value
    if in_array:
        raise text.error("it ends before its closing bracket")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(name for name in names if names.count(name) > 1)!r} occurs twice in it")
    return made


class _Text:
    """A window on the file's text that moves on as values are taken. ``taken`` counts the characters before it."""

    def __init__(self, file: BinaryIO, where: str) -> None:
        self._file, self._where = utf8(file, encoding=None, declared="", where=where), where
        self._decode = codecs.getincrementaldecoder("utf-8")().decode
        self._text, self._at, self._ended, self._before = "", 0, False, 0
        self._parse = json.JSONDecoder(parse_float=exact_number, object_pairs_hook=_object).raw_decode

    @property
    def taken(self) -> int:
        return self._before + self._at

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
                is_bad_key = isinstance(error, ValueError) and not isinstance(error, json.JSONDecodeError)
                if isinstance(error, RecursionError) or is_bad_key or not self._more(row):
                    raise self.error(f"row {row} is no JSON: {error}") from error
            else:
                return value

    def _more(self, row: int = 0) -> bool:
        """Read on; twice as much each time, so that one huge value is not parsed over and over."""
        if self._ended:
            return False
        if len(self._text) - self._at > LONGEST_ROW:
            raise self.error(f"row {row} is longer than {LONGEST_ROW >> 20} MB, or is not closed")
        data = self._file.read(max(PIECE, len(self._text) - self._at))
        self._ended = not data
        try:
            text = self._decode(data, final=self._ended)
        except UnicodeDecodeError as error:
            near = f", near row {row}" if row else ""
            raise self.error(f"it is not UTF-8: {error.reason}{near}") from error
        self._text, self._before, self._at = self._text[self._at :] + text, self._before + self._at, 0
        return True
