"""A table that comes in pages."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from typing import Any

from airflow_workflow_provider.exceptions import OutputUnavailable
from airflow_workflow_provider.outputs.convert import json_text
from airflow_workflow_provider.outputs.json_columns import columns_of_batch
from airflow_workflow_provider.outputs.json_values import columns_of
from airflow_workflow_provider.outputs.raw import Client, Raw, Wanted
from airflow_workflow_provider.protocol.results import ArrowRows, Page, RowSource


def read_pages(source: RowSource, client: Client, wanted: Wanted) -> Iterator[Raw]:
    """Give each page as a raw batch."""
    first_row = 1
    for page in checked_pages(source, client, wanted.where):
        words = dict(page.columns)
        kept = {name: words[name] for name in wanted.of(list(words))}
        known: Any = {
            "typed": wanted.known(kept),
            "before": wanted.before,
            "first_row": first_row,
            "where": wanted.where,
        }
        if isinstance(page.rows, ArrowRows):
            batch, seen = columns_of_batch(page.rows.batch, kept, **known)
        else:
            batch, seen = columns_of(page.rows, kept, **known)
        first_row += len(page.rows)
        yield Raw(batch, seen, tuple(words))
        del page, batch  # they must not stay while the next ones are made


def checked_pages(source: RowSource, client: Client, where: str) -> Iterator[Page]:
    """Give the pages; one whose columns are not those of the first is `OutputUnavailable`, for rows would be torn."""
    first: list[str] | None = None
    for number, page in enumerate(client.stream(source.flow()), 1):
        names = [name for name, _ in page.columns]
        _check_rows(page, names, number, where)
        if not names and not page.rows:
            continue  # a part without rows may have no columns either
        if first is None:
            first = names
        elif set(names) != set(first):
            raise OutputUnavailable(
                f"{where}page {number} has the columns {', '.join(names)}, page 1 had {', '.join(first)}: "
                "the table was changed while it was read"
            )
        yield page
        del page


def _check_rows(page: Page, names: list[str], number: int, where: str) -> None:
    try:
        found = page.rows.batch.schema.names if isinstance(page.rows, ArrowRows) else set().union(*page.rows)
        unknown = set(found) - set(names)
    except TypeError:
        raise OutputUnavailable(f"{where}page {number} holds rows that are not objects") from None
    if unknown:
        raise OutputUnavailable(f"{where}page {number} has a row with the unknown column {min(map(str, unknown))!r}")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise OutputUnavailable(f"{where}page {number} has the column {twice!r} twice")


class JsonLines(io.RawIOBase):
    """A table in pages as a file of JSON lines, made page by page while it is read."""

    def __init__(self, source: RowSource, client: Client) -> None:
        self._pages = checked_pages(source, client, "")
        self._left = memoryview(b"")

    def readable(self) -> bool:
        """A file to read from."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # io's stub wants the C buffer type
        """Read at most as many bytes as the buffer holds; 0 at the end."""
        while not len(self._left):
            page = next(self._pages, None)
            if page is None:
                return 0
            # Half a surrogate pair stays what it was in the answer: an escape.
            text = "".join(_line(page, row) for row in page.rows)
            self._left = memoryview(text.encode("utf-8", "backslashreplace"))
        count = min(len(buffer), len(self._left))
        buffer[:count], self._left = self._left[:count], self._left[count:]
        return count

    def close(self) -> None:
        """End the flow, whether it was read to its end or not."""
        if not self.closed:
            self._pages.close()  # type: ignore[attr-defined]  # a generator
        super().close()


def _line(page: Page, row: Mapping[str, Any]) -> str:
    values = {name: row.get(name) for name, _ in page.columns}
    try:
        return json.dumps(values, ensure_ascii=False) + "\n"
    except TypeError:  # `json` has no spelling for a decimal
        return json_text(values, (", ", ": ")) + "\n"
