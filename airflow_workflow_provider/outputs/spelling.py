"""Numbers and dates that a file spells in its own way: ``csv_options`` ``decimal`` and ``date_format``.

A batch keeps a column as the source spells it, since the column may turn out to be text. What a value is does not
depend on its neighbours: with a ``date_format`` a date is what has this format and nothing else, and with a decimal
comma a number has no decimal point.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from airflow_workflow_provider.outputs.column_stats import TEXT, ColumnStats, Kind
from airflow_workflow_provider.outputs.csv_options import CsvOptions
from airflow_workflow_provider.outputs.inference import infer_text

_NUMBERS = frozenset({Kind.INT, Kind.NUMBER, Kind.NOT_FINITE, Kind.BOOL})
_TIMES = frozenset({Kind.DATE, Kind.DATETIME, Kind.TIMESTAMP})
_TIME_PARTS = frozenset("HMSfIpz")
# Directives with a fixed number of digits; the others are left to Python, value by value.
_DIGITS = {"Y": r"(\d{4})", "m": r"(\d{2})", "d": r"(\d{2})", "H": r"(\d{2})", "M": r"(\d{2})", "S": r"(\d{2})"}
_FALLBACKS = {"H": "00", "M": "00", "S": "00"}


@dataclass(frozen=True)
class Spelling:
    """How numbers and dates of a file are spelled."""

    decimal: str = "."
    date_format: str | None = None

    @classmethod
    def of(cls, options: CsvOptions) -> Spelling | None:
        """Give the spelling of a file, or None where it is that of JSON and ISO 8601."""
        return cls(options.decimal, options.date_format) if options.is_localized else None

    def infer(self, texts: pa.Array) -> ColumnStats:
        """Find what a column of text holds; the same as `inference.infer_text` for a plain file."""
        values = texts.drop_null()
        values = values.filter(pc.not_equal(values, ""))
        if not len(values):
            return infer_text(texts, quoted_numbers=True)
        if self.date_format is not None:
            times, is_time = self._iso(values)
            if pc.all(is_time).as_py():
                return infer_text(times, quoted_numbers=False)
            if pc.any(is_time).as_py():
                return TEXT
        found = infer_text(self._with_points(values), quoted_numbers=True)
        if found.kind in _NUMBERS:
            return found
        plain = infer_text(values, quoted_numbers=True) if self.decimal != "." else found
        if plain.kind in _TIMES and self.date_format is None:
            return plain
        return TEXT

    def canonical(self, texts: pa.Array, target: pa.DataType) -> pa.Array:
        """Spell a column as JSON and ISO 8601 do, for a conversion to this type.

        What is no such number or date gets a mark before it, so that the conversion refuses it.
        """
        if pa.types.is_temporal(target) and self.date_format is not None:
            times, is_time = self._iso(texts)
            is_empty = pc.equal(texts, "")
            return pc.if_else(pc.or_(is_time, is_empty), times, pc.binary_join_element_wise("no date: ", texts, ""))
        if self.decimal != "." and (
            pa.types.is_floating(target) or pa.types.is_decimal(target) or pa.types.is_integer(target)
        ):
            return self._with_points(texts)
        return texts

    def _with_points(self, texts: pa.Array) -> pa.Array:
        if self.decimal == ".":
            return texts
        # A point turns into what no number has.
        return pc.replace_substring(pc.replace_substring(texts, ".", "_"), self.decimal, ".")

    def _iso(self, texts: pa.Array) -> tuple[pa.Array, pa.Array]:
        """Give times as ISO 8601, and which of the values are times; the others stay as they are."""
        assert self.date_format is not None, "asked for only then"
        found = re.findall(r"%(.)", self.date_format)
        if set(found) <= set(_DIGITS):
            pattern, order = self._pattern()
            is_match = pc.match_substring_regex(texts, pattern)
            if pc.all(pc.fill_null(is_match, True)).as_py():
                made = pc.replace_substring_regex(texts, pattern, order)
                if self._are_times(made, is_time="H" in found):
                    return made, is_match
        encoded = texts.dictionary_encode()
        words = [self._one(text) for text in encoded.dictionary.to_pylist()]
        is_time = pa.array([word is not None for word in words], pa.bool_())
        spelled = [
            word if word is not None else text for word, text in zip(words, encoded.dictionary.to_pylist(), strict=True)
        ]
        return pa.array(spelled, pa.string()).take(encoded.indices), is_time.take(encoded.indices)

    def _pattern(self) -> tuple[str, str]:
        """Give the expression that a value matches as a whole, and what replaces it."""
        assert self.date_format is not None, "asked for only then"
        groups: dict[str, int] = {}
        pattern = ""
        for literal, directive in re.findall(r"([^%]*)(?:%(.))?", self.date_format):
            pattern += re.escape(literal)
            if directive:
                groups[directive] = len(groups) + 1
                pattern += _DIGITS[directive]
        date = rf"\{groups['Y']}-\{groups['m']}-\{groups['d']}"
        parts = [rf"\{groups[part]}" if part in groups else fallback for part, fallback in _FALLBACKS.items()]
        return rf"^{pattern}$", date + ("T" + ":".join(parts) if set(groups) & set(_FALLBACKS) else "")

    def _are_times(self, texts: pa.Array, *, is_time: bool) -> bool:
        try:
            pc.cast(texts, pa.timestamp("us") if is_time else pa.date32())
        except pa.ArrowInvalid:
            return False
        return True

    def _one(self, text: str | None) -> str | None:
        if text is None:
            return None
        assert self.date_format is not None, "asked for only then"
        try:
            moment = datetime.strptime(text, self.date_format)  # noqa: DTZ007 (the format says whether there is a zone)
        except ValueError:
            return None
        if not set(re.findall(r"%(.)", self.date_format)) & _TIME_PARTS:
            return moment.date().isoformat()
        return moment.isoformat()
