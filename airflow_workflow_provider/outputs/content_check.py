"""Checking that a file is what it is called, from its first bytes: an error page with status 200 is no result."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from html import unescape
from http import HTTPStatus

from airflow_workflow_provider.exceptions import OutputUnavailable

HEAD = 8 << 10  # bytes that are looked at
_BLANKS = b" \t\r\n\0\xef\xbb\xbf\xff\xfe"
# First bytes of formats that are no text; https://en.wikipedia.org/wiki/List_of_file_signatures
_BINARY = (
    (b"PK\x03\x04", "a ZIP archive, such as an Excel workbook"),
    (b"\xd0\xcf\x11\xe0", "an old Excel or Word file"),
    (b"%PDF", "a PDF file"),
    (b"\x1f\x8b", "gzip within gzip"),
    (b"BZh", "a bzip2 file"),
    (b"\xfd7zXZ", "an xz file"),
    (b"7z\xbc\xaf", "a 7-Zip archive"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard file"),
    (b"PAR1", "a Parquet file"),
    (b"ORC", "an ORC file"),
    (b"Obj\x01", "an Avro file"),
    (b"ARROW1", "an Arrow file"),
    (b"SQLite format 3\0", "a SQLite database"),
    (b"Alteryx Database File", "a .yxdb file"),
    (b"Alteryx e2 Database", "a .yxdb file"),
    (b"\x89PNG", "an image"),
    (b"GIF8", "an image"),
    (b"\xff\xd8\xff", "an image"),
    (b"\x7fELF", "a program"),
)
_MARKUP = re.compile(rb"<(?:[!?/]|[A-Za-z])")
_JSON = re.compile(rb"\{|\[\s*(?:[\{\[\"\]0-9-]|null|true|false)")
_TITLE = re.compile(rb"<title[^>]{0,200}>([^<]{1,300})|<(?:h1|Message)[^>]{0,200}>([^<]{1,300})", re.IGNORECASE)
_TAG = re.compile(r"<[^>]{0,500}>")
_TYPES_OF_OTHERS = re.compile(
    r"text/(?:html|xml)|application/(?:[\w.]+\+)?(?:json|xml|xhtml|pdf|zip)|image/|audio/|video/"
)
# A file that is one object with such keys alone says why there is no result.
_ERROR_KEYS = frozenset({"error", "errors", "message", "msg", "detail", "details", "title", "fault", "exception"})
_BESIDE_ERRORS = _ERROR_KEYS | {
    *("code", "status", "statuscode", "status_code", "errorcode", "error_code", "errortype", "error_type", "type"),
    *("description", "error_description", "errordescription", "reason", "hint", "help", "instance", "path", "success"),
    *("ok", "request_id", "requestid", "trace_id", "traceid", "timestamp", "documentation_url", "retry_after"),
}
# What servers say in one word, without blanks; and words that tell of an error wherever they stand.
_MESSAGES = frozenset(
    {
        *(re.sub(r"[^a-z]", "", status.phrase.lower()) for status in HTTPStatus),
        *(
            "disabled",
            "empty",
            "fail",
            "false",
            "internal",
            "maintenance",
            "missing",
            "na",
            "nan",
            "nil",
            "none",
            "null",
        ),
        *("offline", "pending", "processing", "queued", "running", "success", "succeeded", "true", "undefined"),
        *("unknown", "done", "completed", "cancelled", "canceled", "nodata", "noresult", "noresults"),
    }
)
_ERROR_WORDS = frozenset(
    {
        *("denied", "unauthorized", "unauthorised", "unauthenticated", "forbidden", "expired", "exception", "error"),
        *("errors", "failed", "failure", "timeout", "unavailable", "invalid", "refused", "rejected", "throttled"),
    }
)
# Those of several words stand for themselves even where more lines follow.
_PHRASES = frozenset(status.phrase.lower() for status in HTTPStatus if " " in status.phrase)
SENTENCE = 4  # words; a name of a column with so many is likelier a message
_WORD_PART = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")
_YXDB = (b"Alteryx Database File", b"Alteryx e2 Database")
_TEXTS = frozenset({"csv", "json", "jsonl"})


def check_content(
    head: bytes, kind: str, headers: Mapping[str, str], *, where: str = "", is_certain: bool = False
) -> None:
    """Raise `OutputUnavailable` where the first bytes of a file are certainly no file of this kind.

    ``kind`` is the format of a `FileSource`; a ``raw`` one may be anything. ``is_certain`` says that the user has named
    the delimiter of a CSV: what the server calls the file does not count then.
    """
    if kind not in _TEXTS and kind != "yxdb":
        return
    start = head.lstrip(_BLANKS)
    if b"\0" in head[:4]:
        start = head.replace(b"\0", b"").lstrip(_BLANKS)  # UTF-16
    name = {"csv": "CSV", "yxdb": ".yxdb", "json": "JSON", "jsonl": "JSON"}[kind]
    if _MARKUP.match(start):
        raise OutputUnavailable(f"{where}{_page(start)} came instead of the {name} file: {_excerpt(start)!r}")
    if kind == "yxdb":
        if not head.startswith(_YXDB):
            if _JSON.match(start):
                raise OutputUnavailable(f"{where}JSON came instead of the .yxdb file: {_excerpt(start)!r}")
            raise OutputUnavailable(
                f"{where}the file is not a .yxdb file of the original engine; it begins {_excerpt(start)[:60]!r}"
            )
        return
    for first, described in _BINARY:
        if head.startswith(first):
            raise OutputUnavailable(f"{where}the file is not {name}, but {described}")
    if kind == "csv":
        _check_csv(start, headers, where, is_certain=is_certain, is_whole=len(head) < HEAD)
    else:
        _check_json(start, kind, where, is_whole=len(head) < HEAD)


def _check_csv(start: bytes, headers: Mapping[str, str], where: str, *, is_certain: bool, is_whole: bool) -> None:
    if _JSON.match(start):
        raise OutputUnavailable(f"{where}JSON came instead of the CSV file: {_excerpt(start)!r}")
    declared = headers.get("content-type", "").strip().lower()
    is_download = "attachment" in headers.get("content-disposition", "").lower()
    if start and not is_certain and not is_download and _TYPES_OF_OTHERS.match(declared):
        raise OutputUnavailable(
            f"{where}the server calls the CSV file {declared.partition(';')[0]!r}, and it begins {_excerpt(start)!r}; "
            "csv_options={'delimiter': ','} reads it all the same"
        )
    if is_whole and not is_certain:
        _check_word(start, where)


def _check_json(start: bytes, kind: str, where: str, *, is_whole: bool) -> None:
    if start and start[:1] not in (b"{", b"["):
        raise OutputUnavailable(f"{where}a text came instead of the JSON file: {_excerpt(start)!r}")
    if is_whole:
        _check_message(start, kind, where)


def _check_message(text: bytes, kind: str, where: str) -> None:
    """Refuse a file that is one JSON object with an error message, and an empty one where that is no JSON."""
    if kind == "json" and not text:
        raise OutputUnavailable(f"{where}the file is empty, which is no JSON: a result without rows is []")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return
    keys = {str(key).lower() for key in value} if isinstance(value, dict) else set()
    if keys & _ERROR_KEYS and keys <= _BESIDE_ERRORS:
        raise OutputUnavailable(f"{where}an error message came instead of the JSON file: {_excerpt(text)!r}")


def _check_word(text: bytes, where: str) -> None:
    """Refuse a CSV file that is one word of a server's, a sentence or a number.

    It may also be the header of a table, so only what is hardly a header is refused.
    """
    word = text.replace(b"\0", b"").strip(_BLANKS).decode("utf-8", "replace")
    lines = word.splitlines()
    is_message = _is_message_line(lines[0]) if len(lines) == 1 else bool(lines) and _begins_message(lines[0])
    if is_message:
        rest = "a table without rows" if len(lines) == 1 else "a table of one column"
        raise OutputUnavailable(
            f"{where}the file holds nothing but {word[:200]!r}, which looks like a message; "
            f"csv_options={{'delimiter': ','}} reads it as the header of {rest}"
        )


def _is_message_line(line: str) -> bool:
    """Whether the only line of a file is hardly a header."""
    fields = re.split(r"[,;\t|]", line)
    parts = {part.lower() for part in _WORD_PART.findall(line)}
    if any(len(field.split()) >= SENTENCE for field in fields):
        return True
    if len(fields) > 1:  # "Error: quota exceeded, try later" in contrast to "id, error"
        is_prose = all(field.startswith(" ") and " " in field.strip() for field in fields[1:])
        return bool(parts & _ERROR_WORDS) and (": " in line or is_prose)
    is_word = re.sub(r"[^a-z]", "", line.lower()) in _MESSAGES or bool(parts & _ERROR_WORDS)
    return is_word or " " in line or line[-1] in ".!:?" or not any(map(str.isalpha, line))


def _begins_message(line: str) -> bool:
    """Whether the first of a few lines is the phrase of an HTTP status or the first line of an error's report."""
    parts = {part.lower() for part in _WORD_PART.findall(line)}
    if line.strip().lower().lstrip("0123456789 :-") in _PHRASES or line.startswith("Traceback (most recent call last)"):
        return True
    return " " in line.strip() and bool(parts & _ERROR_WORDS) and (": " in line or line.rstrip()[-1] in ".!:")


def charset_of(headers: Mapping[str, str]) -> str:
    """Give the charset that the server declares, or an empty text."""
    found = re.search(r";\s*charset\s*=\s*\"?([\w.:-]+)", headers.get("content-type", ""), re.IGNORECASE)
    return found[1] if found else ""


def _page(start: bytes) -> str:
    is_html = b"<html" in start[:1000].lower() or start[:14].lower().startswith(b"<!doctype html")
    return "an HTML page" if is_html else "XML or HTML"


def _excerpt(start: bytes) -> str:
    """Give what a page says, as one line."""
    found = _TITLE.search(start)
    text = (found[1] or found[2] if found else start[:2000]).decode("utf-8", "replace")
    words = " ".join(unescape(_TAG.sub(" ", text)).split())
    return "".join(character if character.isprintable() else "\ufffd" for character in words)[:200]
