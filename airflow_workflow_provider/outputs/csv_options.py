"""``csv_options``: how a CSV file is written, where it differs from UTF-8 text with commas and RFC 4180 quotes.

This module imports no pyarrow, since an operator checks its options while a DAG file is parsed.
"""

from __future__ import annotations

import codecs
import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from airflow_workflow_provider.exceptions import InvalidArgument
from airflow_workflow_provider.outputs.text_encoding import is_text

ARGUMENT = "csv_options"
_MOST_SKIPPED = 1_000_000
_TEMPLATE = re.compile(r"\{\{|\{%")
# What `strptime` knows, without what depends on a locale, on the week's first day, or tells no date.
_DIRECTIVES = frozenset("YmdHMSfyBbpIjz%")
_DATE_PARTS = ({"Y", "y"}, {"m", "b", "B", "j"}, {"d", "j"})
_TRUE = frozenset({"true", "1", "yes"})
_FALSE = frozenset({"false", "0", "no"})


@dataclass(frozen=True)
class CsvOptions:
    r"""How a CSV file is written. Every field has the default of an ordinary file.

    :param encoding: name of the file's encoding, such as ``"windows-1252"`` or ``"utf-16"``; default the byte order
        mark's, else the one that the server declares, else UTF-8.
    :param delimiter: the ASCII character between two fields; default a comma. With None the file is also refused where
        another delimiter is as likely.
    :param quote: the ASCII character around a field, doubled within; an empty text for files without quotes.
    :param escape: the ASCII character before a quote, a delimiter, a line end or itself; default none.
    :param null_values: unquoted fields that hold no value, beside the empty one.
    :param decimal: ``"."`` or ``","``: the decimal point of numbers.
    :param date_format: how dates and times are written, in the directives of `datetime.strptime`, such as
        ``"%d.%m.%Y"``; default ISO 8601.
    :param skip_rows: number of lines before the header, which are left out.
    :param has_header: False where the first row holds values; the columns are then ``column_1``, ``column_2`` ….
    """

    encoding: str | None = None
    delimiter: str | None = None
    quote: str = '"'
    escape: str | None = None
    null_values: tuple[str, ...] = ()
    decimal: str = "."
    date_format: str | None = None
    skip_rows: int = 0
    has_header: bool = True

    @classmethod
    def parse(cls, value: Any) -> CsvOptions:
        """Read the argument ``csv_options``: None, a mapping, or options that were read already.

        A text that holds a template is left to the moment when the task runs. Raises `InvalidArgument`, which names
        the key, and for an unknown one the nearest that is known.
        """
        if value is None:
            return cls()
        if isinstance(value, cls):
            return value
        if not isinstance(value, Mapping):
            raise InvalidArgument(f"{ARGUMENT}: expected a mapping, not {type(value).__name__}")
        known = [field.name for field in fields(cls)]
        for key in value:
            if key not in known:
                near = difflib.get_close_matches(str(key), known, 1, 0.5)
                hint = f"; do you mean {near[0]!r}?" if near else "."
                raise InvalidArgument(f"{ARGUMENT}: unknown key {key!r}{hint} The keys are {', '.join(known)}.")
        read = {
            key: _READERS[key](key, one)
            for key, one in value.items()
            if one is not None and not (isinstance(one, str) and _TEMPLATE.search(one))
        }
        made = replace(cls(), **read)
        _check_marks(made)
        return made

    @property
    def separator(self) -> str:
        """The delimiter that counts."""
        return self.delimiter or ","

    @property
    def is_default(self) -> bool:
        """True if the file needs nothing but what every CSV gets; its bytes may then pass as they are."""
        return replace(self, delimiter=None if self.delimiter == "," else self.delimiter) == CsvOptions()

    @property
    def is_localized(self) -> bool:
        """True if numbers or dates are spelled in another way than in JSON and ISO 8601."""
        return self.decimal != "." or self.date_format is not None


def _check_marks(options: CsvOptions) -> None:
    marks = {"delimiter": options.separator, "quote": options.quote, "escape": options.escape}
    used = [(key, mark) for key, mark in marks.items() if mark]
    for number, (key, mark) in enumerate(used):
        for other, same in used[:number]:
            if mark == same and (other, key) != ("quote", "escape"):
                raise InvalidArgument(f"{ARGUMENT}[{key!r}]: {mark!r} is the {other} too")
    if options.decimal == options.separator and not options.quote:
        raise InvalidArgument(
            f"{ARGUMENT}['decimal']: {options.decimal!r} is the delimiter too, and there are no quotes"
        )


def _encoding(key: str, value: Any) -> str:
    try:
        is_known = is_text(codecs.lookup(value))
    except (LookupError, TypeError, ValueError):
        is_known = False
    if not is_known:
        raise InvalidArgument(
            f"{ARGUMENT}[{key!r}]: {value!r} is not an encoding of text; examples are 'utf-8', 'windows-1252', 'utf-16'"
        )
    return str(value)


def _mark(key: str, value: Any) -> str:
    text = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "pipe": "|"}.get(value, value)
    if not isinstance(text, str) or len(text) != 1 or not text.isascii() or text in "\r\n\0" or text.isalnum():
        raise InvalidArgument(f"{ARGUMENT}[{key!r}]: expected one ASCII character that is not a letter, not {value!r}")
    return text


def _quote(key: str, value: Any) -> str:
    return "" if value == "" or value is False else _mark(key, value)


def _null_values(key: str, value: Any) -> tuple[str, ...]:
    given = (value,) if isinstance(value, str) else value
    if not isinstance(given, (list, tuple, set, frozenset)) or not all(isinstance(one, str) for one in given):
        raise InvalidArgument(f"{ARGUMENT}[{key!r}]: expected a list of texts, not {value!r}")
    return tuple(dict.fromkeys(one for one in (sorted(given) if isinstance(given, (set, frozenset)) else given) if one))


def _decimal(key: str, value: Any) -> str:
    if value not in (".", ","):
        raise InvalidArgument(f"{ARGUMENT}[{key!r}]: expected '.' or ',', not {value!r}")
    return str(value)


def _date_format(key: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise InvalidArgument(f"{ARGUMENT}[{key!r}]: expected a text such as '%d.%m.%Y', not {value!r}")
    found = re.findall(r"%(.?)", value.replace("%%", ""))
    unknown = next((one for one in found if one not in _DIRECTIVES), None)
    if unknown is not None:
        raise InvalidArgument(f"{ARGUMENT}[{key!r}]: {value!r} has the directive '%{unknown}', which is not supported")
    if not all(part & set(found) for part in _DATE_PARTS):
        raise InvalidArgument(f"{ARGUMENT}[{key!r}]: {value!r} lacks the year, the month or the day")
    if len(set(found)) < len(found):
        raise InvalidArgument(f"{ARGUMENT}[{key!r}]: {value!r} has a directive twice")
    return value


def _skip_rows(key: str, value: Any) -> int:
    number = int(value) if isinstance(value, str) and value.strip().isdecimal() else value
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= _MOST_SKIPPED:
        raise InvalidArgument(
            f"{ARGUMENT}[{key!r}]: expected a number of lines from 0 to {_MOST_SKIPPED:,}, not {value!r}"
        )
    return number


def _has_header(key: str, value: Any) -> bool:
    word = str(value).strip().lower()
    if isinstance(value, bool) or (isinstance(value, str) and word in _TRUE | _FALSE):
        return word in _TRUE
    raise InvalidArgument(f"{ARGUMENT}[{key!r}]: expected True or False, not {value!r}")


_READERS: Mapping[str, Callable[[str, Any], Any]] = {
    "encoding": _encoding,
    "delimiter": _mark,
    "quote": _quote,
    "escape": _mark,
    "null_values": _null_values,
    "decimal": _decimal,
    "date_format": _date_format,
    "skip_rows": _skip_rows,
    "has_header": _has_header,
}
