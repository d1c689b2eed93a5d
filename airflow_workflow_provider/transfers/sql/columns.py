"""The columns of a table in the database, and which values each of them holds exactly.

A value goes into a column only if the column gives the same value back. `fit` compares the values with what the type
of the column holds: they pass, or the load is refused with column, row and value. No database is left to round, cut,
pad or reinterpret a value. Whatever a database does on its own is avoided: text such as ``01234`` is no whole number,
``1E3`` neither, a time of day does not go into a date.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from airflow_workflow_provider.exceptions import OutputUnavailable
from airflow_workflow_provider.outputs.convert import converted
from airflow_workflow_provider.transfers.sql.types import spelled

_US = pa.timestamp("us")
_US_UTC = pa.timestamp("us", "UTC")
_YEAR = r"(?:[1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9])"
_LONG, _SHORT, _FEBRUARY = (
    r"(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])",
    r"-(?:0[1-9]|[12][0-9]|30)",
    "02-(?:0[1-9]|1[0-9]|2[0-8])",
)
_FOURTH = "(?:0[48]|[2468][048]|[13579][26])"
_LEAP = rf"(?:[0-9]{{2}}{_FOURTH}|{_FOURTH}00)-02-29"
_DAY = rf"(?:{_YEAR}-(?:{_LONG}|(?:0[469]|11){_SHORT}|{_FEBRUARY})|{_LEAP})"
_ANY_DAY = rf"{_YEAR}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])"
_CLOCK = r"(?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9]{fraction})?"
_OFFSET = r" ?(?:Z|UTC|[-+](?:0[0-9]|1[0-4])(?::?[0-5][0-9])?)"
# At most 15 digits, which a float of 64 bits keeps, however they lie around the point.
_FLOAT64 = (
    r"-?(?:0(?:\.[0-9]{1,15})?|[1-9][0-9]{0,3}(?:\.[0-9]{1,11})?|[1-9][0-9]{4,8}(?:\.[0-9]{1,6})?|[1-9][0-9]{9,14})"
)
# At most 6 digits, which a float of 32 bits keeps.
_FLOAT32 = r"-?(?:0(?:\.[0-9]{1,6})?|[1-9][0-9]{0,2}(?:\.[0-9]{1,3})?|[1-9][0-9]{3,5})"
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")
_PLAIN_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?")
_WHOLE = re.compile(r"0|-?[1-9][0-9]*")
_NUMERIC_LOOK = re.compile(r"\s*[-+]?(?:[0-9]|\.[0-9]|(?i:inf|nan))")
_ANY_CLOCK = _CLOCK.replace("{fraction}", r"(?:\.[0-9]{1,9})?")
_MOMENT = re.compile(rf"{_ANY_DAY}(?:[ T]{_ANY_CLOCK}(?:{_OFFSET})?)?")


@dataclass(frozen=True)
class ColumnType:
    """What a column holds.

    ``kind`` is one of ``int``, ``decimal``, ``float``, ``bool``, ``text``, ``date``, ``datetime`` (no time zone),
    ``timestamp`` (with a time zone), ``time``, ``interval``, ``binary``, ``uuid``, ``enum``, ``array``, ``json`` (a
    database that keeps one value for each key), ``json64`` (likewise, and its numbers have 64 bits), ``document`` (JSON
    that is kept as its text), ``hstore``,
    ``shape`` (made of floats), ``network`` (an address), whose pattern and that of an ``interval`` is the only label;
    ``own`` (the database's own
    type whose text it checks by itself and keeps), ``any`` (nothing is known, or it takes everything), ``untyped``
    (SQLite's numeric affinity), or ``closed`` (a type that no
    text can be compared with).

    ``low`` and ``high`` bound whole numbers; ``takes_bool`` means that 1 and 0 are also true and false. ``precision``
    (None: unbounded) and ``scale`` are those of a decimal, ``bits`` and ``precision`` those of a float. ``length`` is
    the most characters, or bytes where ``in_bytes`` says so; ``padded`` means that blanks at the end are no part of a
    value.
    ``digits`` are those of a second. ``labels`` are those of an enum.
    ``element`` is the type of an array's elements.
    """

    kind: str
    low: int = 0
    high: int = 0
    precision: int | None = None
    scale: int = 0
    bits: int = 64
    length: int | None = None
    in_bytes: bool = False
    padded: bool = False
    digits: int = 6
    labels: tuple[str, ...] = ()
    element: ColumnType | None = None
    takes_bool: bool = False

    @property
    def is_text(self) -> bool:
        """True if the column keeps text as it is, empty text too."""
        return self.kind in ("text", "enum", "any", "untyped")

    @property
    def pattern(self) -> str | None:
        """A regular expression (RE2) of texts that the column certainly holds; None where all or none are certain."""
        make = _PATTERNS.get(self.kind)
        return make(self) if make else None

    @property
    def holder(self) -> pa.DataType | None:
        """The Arrow type that holds the same values; None where it is text."""
        make = _HOLDERS.get(self.kind)
        return make(self) if make else None


@dataclass(frozen=True)
class TargetColumn:
    """A column of a table: its name, its type as the database spells it, and what that type holds.

    ``special`` is ``generated`` for a column that the database computes, ``identity`` or ``auto`` for one whose
    values the database gives where there is none.
    """

    name: str
    declared: str = ""
    type: ColumnType = field(default_factory=lambda: ColumnType("any"))
    nullable: bool = True
    special: str = ""

    @property
    def is_read_as_text(self) -> bool:
        """True if the source's own text is compared with the type; False where nothing is known of the type."""
        return self.type.kind != "any"


def _int_pattern(kind: ColumnType) -> str | None:
    if kind.low > 0:
        return None
    sign = "-?" if kind.low < 0 else ""
    digits = min(len(str(kind.high)), len(str(-kind.low)) if kind.low else 99) - 1
    return rf"0|{sign}[1-9][0-9]{{0,{digits - 1}}}" if digits else f"[0-{kind.high}]"


def _decimal_pattern(kind: ColumnType) -> str | None:
    if kind.precision is None:
        return r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?"
    if not 0 <= kind.scale <= min(kind.precision, 200) or kind.precision > 800:
        return None
    digits = kind.precision - kind.scale
    fraction = rf"(?:\.[0-9]{{1,{kind.scale}}})?" if kind.scale else ""
    return rf"-?(?:0|[1-9][0-9]{{0,{digits - 1}}}){fraction}" if digits else rf"-?0{fraction}"


def _clock(kind: ColumnType) -> str:
    fraction = rf"(?:\.[0-9]{{1,{kind.digits}}})?" if kind.digits else ""
    return _CLOCK.replace("{fraction}", fraction)


def _array_pattern(kind: ColumnType) -> str | None:
    element = kind.element.pattern if kind.element else None
    return rf"\{{(?:(?:{element}|NULL)(?:,(?:{element}|NULL))*)?\}}" if element else None


_UNITS = r"(?:years?|mons?|months?|weeks?|days?|hours?|minutes?|mins?)"
_SECONDS = r"[-+]?[0-9]+(?:\.[0-9]{1,6})? (?:seconds?|secs?)"
# Whole numbers of each unit, and seconds to the microsecond: what a database neither rounds nor distributes.
_INTERVAL = (
    rf"(?:[-+]?[0-9]+ {_UNITS}(?: [-+]?[0-9]+ {_UNITS})*(?: {_SECONDS})?|{_SECONDS}"
    rf"|(?:[-+]?[0-9]+ {_UNITS} )*[-+]?[0-9]+:[0-5][0-9](?::[0-5][0-9](?:\.[0-9]{{1,6}})?)?)"
)
_ISO_INTERVAL = r"P(?:-?[0-9]+[YMWD])*(?:T(?:-?[0-9]+[HM])*(?:-?[0-9]+(?:\.[0-9]{1,6})?S)?)?"

_PATTERNS: Mapping[str, Callable[[ColumnType], str | None]] = {
    "int": _int_pattern,
    "decimal": _decimal_pattern,
    "float": lambda kind: _FLOAT32 if kind.bits == 32 else _FLOAT64,
    "bool": lambda kind: "(?i:true|false|t|f)",
    "date": lambda kind: _DAY,
    "datetime": lambda kind: rf"{_DAY}(?:[ T]{_clock(kind)})?",
    "timestamp": lambda kind: rf"{_DAY}(?:[ T]{_clock(kind)}(?:{_OFFSET})?)?",
    "time": _clock,
    "uuid": lambda kind: r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}",
    "array": _array_pattern,
    "interval": lambda kind: kind.labels[0],
    "network": lambda kind: kind.labels[0],
    "json": lambda kind: r"[^:]*:?[^:]*",  # with two colons a key may come twice
}


def _int_holder(kind: ColumnType) -> pa.DataType:
    if kind.high > 2**63 - 1:
        return pa.uint64() if kind.high < 2**64 and kind.low >= 0 else pa.decimal128(38, 0)
    return pa.int64()


def _decimal_holder(kind: ColumnType) -> pa.DataType | None:
    if kind.precision is None or not 0 <= kind.scale <= kind.precision or kind.precision > 76:
        return None
    return (pa.decimal128 if kind.precision <= 38 else pa.decimal256)(kind.precision, kind.scale)


_HOLDERS: Mapping[str, Callable[[ColumnType], pa.DataType | None]] = {
    "int": _int_holder,
    "decimal": _decimal_holder,
    "float": lambda kind: pa.float32() if kind.bits == 32 else pa.float64(),
    "bool": lambda kind: pa.bool_(),
    "date": lambda kind: pa.date32(),
    "datetime": lambda kind: pa.timestamp("ns") if kind.digits > 6 else _US,
    "timestamp": lambda kind: _US_UTC,
    "time": lambda kind: pa.time64("us"),
    "binary": lambda kind: pa.binary(),
}


# What a text means that the pattern does not accept: the same value as the pattern would accept it, or ValueError.


def _exact_int(text: str, kind: ColumnType) -> str:
    if kind.takes_bool and text.lower() in ("true", "false"):
        return "1" if text.lower() == "true" else "0"
    if not _WHOLE.fullmatch(text) or not kind.low <= int(text) <= kind.high:
        raise ValueError(text)
    return text


def _exact_day(text: str, kind: ColumnType) -> str:
    if not re.fullmatch(_ANY_DAY, text):
        raise ValueError(text)
    date.fromisoformat(text)
    return text


def _exact_decimal(text: str, kind: ColumnType) -> str:
    if not _PLAIN_NUMBER.fullmatch(text):
        raise ValueError(text)
    number = Decimal(text)
    if kind.precision is not None:
        _, digits, exponent = number.as_tuple()
        assert isinstance(exponent, int), "it has digits"
        fraction = "".join(map(str, digits))[exponent:] if exponent else ""
        needed = len(fraction.rjust(-exponent, "0").rstrip("0"))
        too_fine = kind.scale < 0 and number % (10**-kind.scale)
        is_too_long = number and number.adjusted() + 1 > kind.precision - kind.scale
        if needed > max(kind.scale, 0) or too_fine or is_too_long:
            raise ValueError(text)
        if exponent and -exponent > kind.scale:
            return f"{number:.{max(kind.scale, 0)}f}"
    return text


def _exact_float(text: str, kind: ColumnType) -> str:
    if text.lower() in ("nan", "inf", "-inf", "infinity", "-infinity"):
        return text
    if not _NUMBER.fullmatch(text):
        raise ValueError(text)
    digits = Decimal(text).normalize().as_tuple().digits
    if kind.precision is not None and len(digits) > kind.precision:
        raise ValueError(text)
    kept = float(text)
    if kind.bits == 32:
        kept = _float32(kept)
    if Decimal(repr(kept) if kind.bits == 64 else _shortest32(kept)) != Decimal(text):
        raise ValueError(text)
    return text


def _float32(value: float) -> float:
    try:
        return float(struct.unpack("<f", struct.pack("<f", value))[0])
    except OverflowError as error:
        raise ValueError(value) from error


def _shortest32(value: float) -> str:
    """Give the fewest digits that a float of 32 bits is known by."""
    return next(text for digits in range(1, 18) if _float32(float(text := f"{value:.{digits}g}")) == value)


def _exact_time(text: str, kind: ColumnType) -> str:
    """Cut zeros behind the digits that a column keeps; give a moment in UTC where the column has no time zone."""
    found = re.fullmatch(rf"(.*:[0-9]{{2}})\.([0-9]+)({_OFFSET})?", text)
    if found:
        fraction = found[2].rstrip("0")
        if len(fraction) > kind.digits or (len(fraction) > 6 and found[3]):
            raise ValueError(text)
        text = f"{found[1]}{'.' if fraction else ''}{fraction}{found[3] or ''}"
    if kind.kind == "datetime" and _MOMENT.fullmatch(text):
        moment = datetime.fromisoformat(re.sub(" ?(?:UTC|Z)$", "Z", text))
        if moment.tzinfo is not None:
            text = moment.astimezone(UTC).replace(tzinfo=None).isoformat(sep=" ")
            text = text.rstrip("0") if "." in text else text
    if not re.fullmatch(str(kind.pattern).replace(_DAY, _ANY_DAY), text):
        raise ValueError(text)
    if kind.kind != "time":
        datetime.fromisoformat(re.sub(" ?(?:UTC|Z)$", "Z", text))  # the 31st of February is no day
    return text


def _exact_untyped(text: str, kind: ColumnType) -> str:
    """SQLite's numeric affinity makes a number of text that looks like one, with 15 digits at most."""
    if not _NUMERIC_LOOK.match(text):
        return text if kind.kind == "untyped" else _refused(text, kind)
    number = Decimal(text) if _PLAIN_NUMBER.fullmatch(text) else None
    if number is None or (number == number.to_integral_value() and "." in text) or text == "-0":
        raise ValueError(text)
    if "." in text and len(number.as_tuple().digits) > 15:
        raise ValueError(text)
    if "." in text and text != repr(float(text)):
        raise ValueError(text)
    if "." not in text and not -(2**63) <= int(text) < 2**63:
        raise ValueError(text)
    return text


def _refused(text: str, kind: ColumnType) -> str:
    raise ValueError(text)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ValueError("a key occurs twice in an object")
    return made


def _exact_json(text: str, kind: ColumnType) -> str:
    """Refuse an object with a key that stands twice: the database keeps one of the two values."""
    try:
        json.loads(text, object_pairs_hook=_object, parse_float=str, parse_int=str, parse_constant=_no_number)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    return text


def _exact_document(text: str, kind: ColumnType) -> str:
    """Refuse what is no JSON; the database keeps the text as it is."""
    try:
        json.loads(text, parse_float=str, parse_int=str, parse_constant=_no_number)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    return text


def _no_number(word: str) -> None:
    raise ValueError(f"{word} is no JSON")


def _exact_json64(text: str, kind: ColumnType) -> str:
    """Refuse numbers as well that neither a float nor a whole number of 64 bits keeps."""
    try:
        json.loads(
            text,
            object_pairs_hook=_object,
            parse_float=lambda number: _exact_float(number, ColumnType("float")),
            parse_int=lambda number: number if -(2**63) <= int(number) < 2**64 else _refused(number, kind),
            parse_constant=_no_number,
        )
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    return text


_HSTORE_KEY = re.compile(r'("(?:[^"\\]|\\.)*"|[^\s",=>]+)\s*=>\s*(?:"(?:[^"\\]|\\.)*"|[^\s",]+)')


def _exact_hstore(text: str, kind: ColumnType) -> str:
    """Refuse a key that stands twice: the database keeps one of the two values."""
    keys = [re.sub(r"\\(.)", r"\1", key.removeprefix('"').removesuffix('"')) for key in _HSTORE_KEY.findall(text)]
    if len(set(keys)) < len(keys):
        raise ValueError(text)
    return text


def _exact_shape(text: str, kind: ColumnType) -> str:
    """Compare each number of a geometric value with what a float keeps."""
    for number in re.findall(r"[^\s(),<>\[\]]+", text):
        _exact_float(number, ColumnType("float"))
    return text


_EXACT: Mapping[str, Callable[[str, ColumnType], str]] = {
    "int": _exact_int,
    "decimal": _exact_decimal,
    "float": _exact_float,
    "date": _exact_day,
    "datetime": _exact_time,
    "timestamp": _exact_time,
    "time": _exact_time,
    "untyped": _exact_untyped,
    "number": _exact_untyped,
    "json": _exact_json,
    "document": _exact_document,
    "json64": _exact_json64,
    "hstore": _exact_hstore,
    "shape": _exact_shape,
}


class Fitting:
    """Compares the batches of one load with the columns of its table.

    ``takes_text`` means that the database reads the text of every type as the patterns here do, so that text that
    was compared need not be converted. ``takes_nan`` is False where NaN is stored as something else, ``takes_inf``
    likewise.
    """

    def __init__(
        self, columns: Sequence[TargetColumn], *, takes_text: bool, takes_nan: bool = True, takes_inf: bool = True
    ) -> None:
        self.columns, self.takes_text = columns, takes_text
        self.takes_nan, self.takes_inf = takes_nan, takes_inf

    def fit(self, batch: pa.RecordBatch, place: Callable[[int], tuple[str, int]]) -> pa.RecordBatch:
        """Give a batch whose values the columns hold. Raises `OutputUnavailable`, which names column and row.

        ``place`` gives the output and the number of a row of the batch, counted from 1.
        """
        arrays = []
        for array, name, column in zip(batch.columns, batch.schema.names, self.columns, strict=True):
            try:
                arrays.append(self.fitted(array, column))
            except Unfit as unfit:
                where, row = place(unfit.row + 1)
                raise OutputUnavailable(f"{where}column {name!r}, row {row}: {unfit.told(column)}") from None
        return pa.RecordBatch.from_arrays(arrays, names=[column.name for column in self.columns])

    def fitted(self, array: pa.Array, column: TargetColumn) -> pa.Array:
        """Give one column's values as the database takes them."""
        kind = column.type
        if pa.types.is_null(array.type):
            array = pa.nulls(len(array), kind.holder or pa.string())
        if pa.types.is_large_string(array.type):
            array = pc.cast(array, pa.string())
        if pa.types.is_string(array.type):
            if not kind.is_text and len(array) and pc.min(pc.binary_length(array)).as_py() == 0:
                array = pc.if_else(pc.equal(array, ""), pa.scalar(None, pa.string()), array)
            array = self._fitted_text(array, column)
        else:
            array = self._fitted_values(array, column)
        if array.null_count and not column.nullable:
            raise Unfit(pc.index(pc.is_null(array), value=True).as_py(), None)
        return array

    def _fitted_text(self, array: pa.Array, column: TargetColumn) -> pa.Array:  # noqa: PLR0911 (one return a kind)
        kind = column.type
        if kind.kind == "text":
            _check_length(array, kind)
            return array
        if kind.kind in ("own", "any"):
            return array
        if kind.kind == "enum":
            _refuse(array, pc.is_in(array, pa.array(kind.labels, pa.string())))
            return array
        if kind.kind in ("binary", "closed"):
            _refuse(array, pc.is_null(array))
            return array
        array = self._certain(array, kind)
        if kind.kind == "float":
            self._check_finite(array)
        holder = kind.holder
        if self.takes_text or holder is None:
            return array
        try:
            return _cast(array, holder)
        except (pa.ArrowInvalid, OutputUnavailable):  # a day that no calendar has
            return _refuse_casts(array, holder)

    def _certain(self, array: pa.Array, kind: ColumnType) -> pa.Array:
        """Replace text that only an exact look can tell by text of the same value that the pattern accepts."""
        pattern = kind.pattern
        if kind.kind == "datetime":
            array = _without_utc(array, kind)
        matched = pc.match_substring_regex(array, rf"\A(?:{pattern})\z") if pattern else pc.is_null(array)
        uncertain = pc.invert(pc.fill_null(matched, True))
        if not pc.any(uncertain).as_py():
            return array
        exact = _EXACT.get(kind.kind, _refused)
        indices = pc.indices_nonzero(uncertain)
        found: list[str | None] = []
        for row, text in zip(indices.to_pylist(), pc.take(array, indices).to_pylist(), strict=True):
            if text is None:
                found.append(None)
                continue
            try:
                found.append(exact(text, kind))
            except (ValueError, ArithmeticError, InvalidOperation) as error:
                raise Unfit(row, text) from error
        return pc.replace_with_mask(array, uncertain, pa.array(found, pa.string()))

    def _check_finite(self, array: pa.Array) -> None:
        if not self.takes_nan:
            _refuse(array, pc.invert(pc.equal(pc.utf8_lower(array), "nan")))
        if not self.takes_inf:
            _refuse(array, pc.invert(pc.match_substring(pc.utf8_lower(array), "inf")))

    def _fitted_values(self, array: pa.Array, column: TargetColumn) -> pa.Array:
        """Compare values that have a type already."""
        kind, holder = column.type, column.type.holder
        if pa.types.is_floating(array.type):
            if not self.takes_nan:
                _refuse(array, pc.invert(pc.is_nan(array)))
            if not self.takes_inf:
                _refuse(array, pc.invert(pc.is_inf(array)))
        if kind.kind == "any":
            return array
        if kind.kind == "binary" and pa.types.is_binary(array.type):
            _check_length(array, kind)
            return array
        if holder is not None and kind.kind not in ("text", "own"):
            fitted = _fitted_same_kind(array, holder, kind)
            if fitted is not None:
                return fitted
        if pa.types.is_nested(array.type) or pa.types.is_binary(array.type):
            _refuse(array, pc.is_null(array))
        return self._fitted_text(spelled(array), column)


def _without_utc(array: pa.Array, kind: ColumnType) -> pa.Array:
    """Leave out the ``Z`` or ``UTC`` of moments for a column without a time zone, all of them at once."""
    is_utc = pc.match_substring_regex(array, rf"\A{_DAY}[ T]{_clock(kind)} ?(?:Z|UTC)\z")
    if not pc.any(is_utc).as_py():
        return array
    return pc.if_else(is_utc, pc.ascii_rtrim(array, characters=" CTUZ"), array)


def _fitted_same_kind(  # noqa: PLR0911 (one return a kind)
    array: pa.Array, holder: pa.DataType, kind: ColumnType
) -> pa.Array | None:
    """Convert values to a type of the same kind, each exactly; None where the kinds differ."""
    if kind.takes_bool and pa.types.is_boolean(array.type):
        return pc.cast(array, holder)
    if array.type == holder and kind.kind in ("bool", "float", "date", "decimal"):
        return array
    is_moment = pa.types.is_timestamp(array.type)
    if array.type == holder == pa.int64() and (kind.low, kind.high) == (INT64.low, INT64.high):
        return array
    if kind.kind == "int" and pa.types.is_integer(array.type):
        texts = pc.cast(array, pa.decimal128(38, 0))
        low, high = (pa.scalar(Decimal(bound), pa.decimal128(38, 0)) for bound in (kind.low, kind.high))
        _refuse(array, pc.and_kleene(pc.greater_equal(texts, low), pc.less_equal(texts, high)))
        return pc.cast(array, holder)
    if kind.kind in ("datetime", "timestamp") and (is_moment or pa.types.is_date(array.type)):
        return _fitted_moment(array, holder, kind)
    if kind.kind == "time" and pa.types.is_time(array.type) and kind.digits >= 6:
        return _kept(array, holder)
    if kind.kind == "int" and (pa.types.is_floating(array.type) or pa.types.is_decimal(array.type)):
        whole = _kept(array, pa.int64() if pa.types.is_floating(array.type) else pa.decimal128(38, 0))
        return _fitted_same_kind(whole, holder, kind) if pa.types.is_integer(whole.type) else _whole(whole, kind)
    if kind.kind == "decimal" and (pa.types.is_decimal(array.type) or pa.types.is_integer(array.type)):
        whole = pc.cast(array, pa.decimal128(20, 0)) if pa.types.is_integer(array.type) else array
        return _kept(whole, holder)
    if kind.kind == "float" and kind.bits == 64 and pa.types.is_floating(array.type):
        return pc.cast(array, holder)
    return None


def _whole(array: pa.Array, kind: ColumnType) -> pa.Array:
    low, high = (pa.scalar(Decimal(bound), array.type) for bound in (kind.low, kind.high))
    _refuse(array, pc.and_kleene(pc.greater_equal(array, low), pc.less_equal(array, high)))
    return pc.cast(array, _int_holder(kind))


def _fitted_moment(array: pa.Array, holder: pa.DataType, kind: ColumnType) -> pa.Array:
    if pa.types.is_date(array.type):
        array = pc.cast(array, pa.timestamp("us"))
    zone = holder.tz
    unit = "ns" if kind.digits > 6 else "us"
    if array.type.unit == "ns" and unit != "ns":
        array = _kept(array, pa.timestamp("us", array.type.tz))
    if kind.digits < 6:
        step = 10 ** (6 - kind.digits)
        whole = pc.cast(array, pa.timestamp("us", array.type.tz)).view(pa.int64())
        _refuse(array, pc.equal(pc.multiply(pc.divide(whole, step), step), whole))
    if array.type.tz and not zone:
        array = pc.cast(array, pa.timestamp(array.type.unit))  # the moment in UTC
    elif zone and not array.type.tz:
        array = pc.assume_timezone(array, "UTC")
    return pc.cast(array, pa.timestamp(unit, zone))


def _kept(array: pa.Array, target: pa.DataType) -> pa.Array:
    """Convert where every value stays the same; else tell which one does not."""
    try:
        return pc.cast(array, target)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return _refuse_casts(array, target)


def _refuse_casts(array: pa.Array, target: pa.DataType) -> pa.Array:
    made = []
    for row in range(len(array)):
        try:
            made.append(_cast(array.slice(row, 1), target))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OutputUnavailable) as error:
            raise Unfit(row, array[row].as_py()) from error
    return pa.concat_arrays(made)


def _cast(array: pa.Array, target: pa.DataType) -> pa.Array:
    if pa.types.is_boolean(target) and pa.types.is_string(array.type):
        return pc.equal(pc.utf8_slice_codeunits(pc.utf8_lower(array), 0, 1), "t")
    if pa.types.is_timestamp(target) and pa.types.is_string(array.type):
        return converted(array, target, "")
    if pa.types.is_time(target) and pa.types.is_string(array.type):
        moment = pc.cast(pc.binary_join_element_wise("1970-01-01", array, " "), _US)
        return pc.cast(moment, target)
    return pc.cast(array, target)


def _check_length(array: pa.Array, kind: ColumnType) -> None:
    if kind.length is not None:
        is_bytes = kind.in_bytes or pa.types.is_binary(array.type)
        sizes = pc.binary_length(array) if is_bytes else pc.utf8_length(array)
        _refuse(array, pc.less_equal(sizes, kind.length))
    if kind.padded:
        ends = pc.ends_with(array, pattern=b"\0" if pa.types.is_binary(array.type) else " ")
        _refuse(array, pc.invert(ends))
        if pa.types.is_binary(array.type):
            _refuse(array, pc.equal(pc.binary_length(array), kind.length))


def _refuse(array: pa.Array, is_held: pa.Array) -> None:
    """Refuse the first value that is not held; no value is."""
    held = pc.fill_null(pc.or_kleene(is_held, pc.is_null(array)), True)
    if not pc.all(held, min_count=0).as_py():
        row = pc.index(held, value=False).as_py()
        raise Unfit(row, array[row].as_py())


_REASONS = {
    "document": ": it is not JSON",
    "json": ": it is not JSON, or a key occurs twice in an object, of which the database keeps one",
    "json64": ": it is not JSON, or a key occurs twice in an object, or a number has more than 64 bits",
    "hstore": ": a key occurs twice",
    "interval": ": the database would round it or spread it over other units",
}


class Unfit(Exception):
    """A value that its column does not hold; ``row`` counts from 0 in the array."""

    def __init__(self, row: int, value: Any) -> None:
        super().__init__(row)
        self.row, self.value = row, value

    def told(self, column: TargetColumn) -> str:
        """Say what the column does not hold, and what to do."""
        kind = column.declared or column.type.kind
        own = f"the table's column {column.name!r} of type {kind}"
        if self.value is None:
            return f"there is no value, and {own} needs one"
        shown = str(self.value)
        shown = f"{shown[:77]!r}…" if len(shown) > 80 else repr(shown)
        because = _REASONS.get(column.type.kind, "")
        return (
            f"{shown} does not fit {own} exactly{because}. Change the type of the table's column, "
            "or convert the output's column with column_types"
        )


# ---------------------------------------------------------------------------------------------- types by database

INT64 = ColumnType("int", -(2**63), 2**63 - 1)
ANY = ColumnType("any")
OWN = ColumnType("own")
CLOSED = ColumnType("closed")


def _signed(bits: int) -> ColumnType:
    return ColumnType("int", -(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def _unsigned(bits: int) -> ColumnType:
    return ColumnType("int", 0, 2**bits - 1)


def _numbers(arguments: str) -> list[int]:
    return [int(part) for part in re.findall(r"-?\d+", arguments)]


def _decimal(arguments: str, default: tuple[int | None, int]) -> ColumnType:
    found = _numbers(arguments)
    precision, scale = (found[0], found[1] if len(found) > 1 else 0) if found else default
    return ColumnType("decimal", precision=precision, scale=scale)


def _text(arguments: str, **others: Any) -> ColumnType:
    found = _numbers(arguments)
    return ColumnType("text", length=found[0] if found else None, **others)


def _digits(kind: str, arguments: str, default: int) -> ColumnType:
    found = _numbers(arguments)
    return ColumnType(kind, digits=found[0] if found else default)


_GROUP = "[0-9a-fA-F]{1,4}"
_ADDRESS = (
    r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?:/[0-9]{1,2})?"
    rf"|(?:[0-9a-fA-F:]*::[0-9a-fA-F:.]*|(?:{_GROUP}:){{7}}{_GROUP}|(?:{_GROUP}:){{6}}[0-9.]+)(?:/[0-9]{{1,3}})?"
)
_BYTE = "[0-9a-fA-F]{2}"
_REGISTERED = (
    "class",
    "proc",
    "procedure",
    "oper",
    "operator",
    "type",
    "role",
    "namespace",
    "config",
    "dictionary",
    "collation",
)
_POSTGRES: Mapping[str, Callable[[str], ColumnType]] = {
    "smallint": lambda a: _signed(16),
    "integer": lambda a: _signed(32),
    "bigint": lambda a: INT64,
    "oid": lambda a: _unsigned(32),
    "numeric": lambda a: _decimal(a, (None, 0)),
    "money": lambda a: ColumnType("decimal", precision=17, scale=2),
    "real": lambda a: ColumnType("float", bits=32),
    "double precision": lambda a: ColumnType("float"),
    "boolean": lambda a: ColumnType("bool"),
    "character varying": _text,
    "character": lambda a: _text(a, padded=True),
    "bpchar": lambda a: _text(a, padded=True),
    "text": _text,
    "citext": _text,
    "name": lambda a: ColumnType("text", length=63, in_bytes=True),
    '"char"': lambda a: ColumnType("text", length=1, in_bytes=True),
    "date": lambda a: ColumnType("date"),
    "timestamp without time zone": lambda a: _digits("datetime", a, 6),
    "timestamp with time zone": lambda a: _digits("timestamp", a, 6),
    "time without time zone": lambda a: _digits("time", a, 6),
    "time with time zone": lambda a: CLOSED,
    "bytea": lambda a: ColumnType("binary"),
    "uuid": lambda a: ColumnType("uuid"),
    "interval": lambda a: CLOSED if a else ColumnType("interval", labels=(f"{_INTERVAL}|{_ISO_INTERVAL}",)),
    "jsonb": lambda a: ColumnType("json"),
    "hstore": lambda a: ColumnType("hstore"),
    **dict.fromkeys(("point", "lseg", "path", "polygon", "circle"), lambda a: ColumnType("shape")),
    # What these print is not what they were given.
    **dict.fromkeys(("tsvector", "tsquery", "jsonpath", "box", "line"), lambda a: CLOSED),
    **dict.fromkeys((f"reg{kind}" for kind in _REGISTERED), lambda a: CLOSED),
    # The server fills up what is left out, and takes a day for an address of hardware.
    **dict.fromkeys(("inet", "cidr"), lambda a: ColumnType("network", labels=(_ADDRESS,))),
    "macaddr": lambda a: ColumnType("network", labels=(f"{_BYTE}(?::{_BYTE}){{5}}|{_BYTE}(?:-{_BYTE}){{5}}",)),
    "macaddr8": lambda a: ColumnType("network", labels=(f"{_BYTE}(?::{_BYTE}){{7}}|{_BYTE}(?:-{_BYTE}){{7}}",)),
}


def postgres_type(declared: str, category: str = "") -> ColumnType:
    """Read a type as ``format_type`` spells it; ``category`` is the ``typcategory`` of a type not known here."""
    declared = re.sub(r'^(?:"[^"]*"|[\w$]+)\.', "", declared)
    if declared.endswith("[]"):
        element = postgres_type(declared.removesuffix("[]"))
        is_safe = element.kind in ("int", "decimal", "float", "bool", "date", "datetime", "timestamp", "uuid")
        if element.kind == "text" and element.length is None and not element.padded:
            return OWN
        return ColumnType("array", element=element) if is_safe else CLOSED
    found = re.fullmatch(r"(.+?)(?:\(([^()]*)\))?( with(?:out)? time zone)?", declared)
    name, arguments = (found[1] + (found[3] or ""), found[2] or "") if found else (declared, "")
    if name.startswith("interval "):
        return CLOSED
    make = _POSTGRES.get(name)
    if make is not None:
        return make(arguments)
    return OWN if category not in ("R", "A", "C") else CLOSED  # ranges, arrays, rows


_MYSQL: Mapping[str, Callable[[str], ColumnType]] = {
    "tinyint": lambda a: _signed(8),
    "smallint": lambda a: _signed(16),
    "mediumint": lambda a: _signed(24),
    "int": lambda a: _signed(32),
    "integer": lambda a: _signed(32),
    "bigint": lambda a: INT64,
    "decimal": lambda a: _decimal(a, (10, 0)),
    "numeric": lambda a: _decimal(a, (10, 0)),
    "float": lambda a: _decimal(a, (7, 0)) if a else ColumnType("float", precision=6, bits=32),  # shows six digits
    "double": lambda a: _decimal(a, (15, 0)) if a else ColumnType("float"),
    "char": lambda a: _text(a or "1", padded=True),
    "varchar": _text,
    "tinytext": lambda a: ColumnType("text", length=255, in_bytes=True),
    "text": lambda a: ColumnType("text", length=65_535, in_bytes=True),
    "mediumtext": lambda a: ColumnType("text", length=16_777_215, in_bytes=True),
    "longtext": lambda a: ColumnType("text"),
    "json": lambda a: ColumnType("json64"),  # MySQL's own; MariaDB calls it LONGTEXT, and keeps its text
    "date": lambda a: ColumnType("date"),
    "datetime": lambda a: _digits("datetime", a, 0),
    "timestamp": lambda a: _digits("timestamp", a, 0),
    "time": lambda a: _digits("time", a, 0),
    "year": lambda a: ColumnType("int", 1901, 2155),
    "binary": lambda a: replace(_text(a or "1", padded=True), kind="binary"),
    "varbinary": lambda a: replace(_text(a), kind="binary"),
    "tinyblob": lambda a: ColumnType("binary", length=255),
    "blob": lambda a: ColumnType("binary", length=65_535),
    "mediumblob": lambda a: ColumnType("binary", length=16_777_215),
    "longblob": lambda a: ColumnType("binary"),
    "bit": lambda a: _unsigned((_numbers(a) or [1])[0]),
    "uuid": lambda a: ColumnType("uuid"),
    "inet6": lambda a: OWN,
    "inet4": lambda a: OWN,
}
_LABEL = re.compile(r"'((?:[^']|'')*)'")


def mysql_type(declared: str) -> ColumnType:
    """Read a type as ``information_schema.columns.column_type`` spells it."""
    found = re.fullmatch(r"(\w+)(?:\((.*)\))?((?: unsigned| zerofill)*).*", declared, re.IGNORECASE | re.DOTALL)
    if found is None:
        return CLOSED
    name, arguments = found[1].lower(), found[2] or ""
    if name == "enum":
        return ColumnType("enum", labels=tuple(label.replace("''", "'") for label in _LABEL.findall(arguments)))
    if name == "tinyint" and arguments == "1" and "unsigned" not in found[3].lower():
        return ColumnType("int", -128, 127, takes_bool=True)
    make = _MYSQL.get(name)
    if make is None:
        return CLOSED
    made = make(arguments)
    if "unsigned" in found[3].lower() and made.kind == "int":
        return ColumnType("int", 0, made.high - made.low)
    return made


_DUCKDB: Mapping[str, Callable[[str], ColumnType]] = {
    "TINYINT": lambda a: _signed(8),
    "SMALLINT": lambda a: _signed(16),
    "INTEGER": lambda a: _signed(32),
    "BIGINT": lambda a: INT64,
    "UTINYINT": lambda a: _unsigned(8),
    "USMALLINT": lambda a: _unsigned(16),
    "UINTEGER": lambda a: _unsigned(32),
    "UBIGINT": lambda a: _unsigned(64),
    # A decimal of 38 digits holds what goes over.
    "HUGEINT": lambda a: ColumnType("int", -(10**38) + 1, 10**38 - 1),
    "UHUGEINT": lambda a: ColumnType("int", 0, 10**38 - 1),
    "DECIMAL": lambda a: _decimal(a, (18, 3)),
    "FLOAT": lambda a: ColumnType("float", bits=32),
    "DOUBLE": lambda a: ColumnType("float"),
    "BOOLEAN": lambda a: ColumnType("bool"),
    "VARCHAR": lambda a: ColumnType("text"),
    "DATE": lambda a: ColumnType("date"),
    "TIMESTAMP": lambda a: ColumnType("datetime"),
    "TIMESTAMP_S": lambda a: ColumnType("datetime", digits=0),
    "TIMESTAMP_MS": lambda a: ColumnType("datetime", digits=3),
    "TIMESTAMP_NS": lambda a: ColumnType("datetime", digits=9),
    "TIMESTAMP WITH TIME ZONE": lambda a: ColumnType("timestamp"),
    "TIME": lambda a: ColumnType("time"),
    "BLOB": lambda a: ColumnType("binary"),
    "UUID": lambda a: ColumnType("uuid"),
    "JSON": lambda a: ColumnType("document"),
    "INTERVAL": lambda a: ColumnType("interval", labels=(_INTERVAL,)),
    "BIT": lambda a: ColumnType("network", labels=("[01]+",)),
}


def duckdb_type(declared: str) -> ColumnType:
    """Read a type as ``information_schema.columns.data_type`` spells it."""
    if declared.upper().startswith("ENUM("):
        return ColumnType("enum", labels=tuple(label.replace("''", "'") for label in _LABEL.findall(declared)))
    found = re.fullmatch(r"([\w ]+?)(?:\(([^()]*)\))?", declared.upper())
    make = _DUCKDB.get(found[1]) if found else None
    return make(found[2] or "") if make and found else CLOSED


_SQLITE_AFFINITIES = (
    (INT64, ("INT",)),
    (ColumnType("text"), ("CHAR", "CLOB", "TEXT")),
    (ColumnType("binary"), ("BLOB",)),
    (ColumnType("float"), ("REAL", "FLOA", "DOUB")),
)


def sqlite_type(declared: str) -> ColumnType:
    """Read a declared type by the rules of SQLite's affinity, and by what the name means where that is numeric."""
    name = declared.upper()
    if not name:
        return ANY
    for made, parts in _SQLITE_AFFINITIES:
        if any(part in name for part in parts):
            return made
    for kind, starts in (
        ("bool", ("BOOL",)),
        ("timestamp", ("TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ", "TIMESTAMP WITH LOCAL")),
        ("datetime", ("DATETIME", "TIMESTAMP")),
        ("date", ("DATE",)),
        ("time", ("TIME",)),
    ):
        if name.startswith(starts):
            return ColumnType(kind)
    return ColumnType("number" if name.startswith(("DEC", "NUM", "MONEY")) else "untyped")
