"""The logs of Profitbase: Flow's, which has a cursor, and InVision's monitoring log, which has no run ids.

Sources: the vendor's pages of Flow's ``poll`` call and of the Monitoring API.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any

from airflow_workflow_provider.protocol.api import Api
from airflow_workflow_provider.protocol.effects import Flow, Request
from airflow_workflow_provider.protocol.model import Run
from airflow_workflow_provider.protocol.run_log import Cursor, LogLine, LogPage, unseen
from airflow_workflow_provider.protocol.times import iso, parse_time, time_or_none
from airflow_workflow_provider.systems.invision.answers import SKEW, WINDOW, lowered

# 1 Debug, 2 Information, 3 Success, 4 Warning, 5 Error.
FLOW_LEVELS: Mapping[int, str] = {1: "debug", 2: "info", 3: "info", 4: "warning", 5: "error"}
MONITORING_LEVELS: Mapping[str, str] = {
    "verbose": "debug",
    "information": "info",
    "warning": "warning",
    "error": "error",
}
MONITORING_TIME = "%Y.%m.%d %H:%M:%S"  # in UTC, as the request spells it
OVERLAP = timedelta(seconds=60)  # a line may come so much later than its own time
KEPT = 512  # lines within the overlap that a cursor remembers
_GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def flow_page(items: Any, cursor: Cursor) -> LogPage:
    """Give the log items of Flow that follow a cursor, by their ``logItemId``."""
    rows = [item for item in items if isinstance(item, Mapping)] if isinstance(items, list) else []
    numbered = [(number, row) for row in rows if (number := whole(_field(row, "logItemId"))) is not None]
    if len(numbered) < len(rows):  # without ids the whole log has to be compared
        return unseen([_flow_line(row) for row in rows], cursor)
    after = flow_cursor(cursor)
    new = sorted(((number, row) for number, row in numbered if number > after), key=lambda pair: pair[0])
    return LogPage((_flow_line(row) for _, row in new), {"id": new[-1][0]} if new else cursor)


def flow_cursor(cursor: Cursor) -> int:
    """Give the ``logItemId`` of a cursor; 0 is the beginning."""
    return whole(cursor.get("id")) or 0 if isinstance(cursor, Mapping) else 0


def whole(value: Any) -> int | None:
    """Give a whole number, or None."""
    try:
        return None if isinstance(value, bool) else int(value)
    except (TypeError, ValueError, OverflowError):
        return None


def _field(row: Mapping[str, Any], name: str) -> Any:
    """Give a field in the documented spelling, or in another case."""
    value = row.get(name)
    return lowered(row).get(name.lower()) if value is None else value


def _flow_line(row: Mapping[str, Any]) -> LogLine:
    data = _field(row, "data")
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False, default=str)
    level = FLOW_LEVELS.get(whole(_field(row, "type")) or 0, "info")
    return LogLine(time_or_none(_field(row, "logTimeStamp")), level, text)


@dataclass(frozen=True)
class _Seen:
    """What a cursor of the monitoring log holds.

    All lines before ``floor`` were seen, ``count`` lines of exactly that time, and the lines after it by their marks.
    """

    floor: datetime
    count: int
    marks: frozenset[str]

    @classmethod
    def of(cls, cursor: Cursor, begin: datetime) -> _Seen:
        value = cursor if isinstance(cursor, Mapping) else {}
        floor, marks = time_or_none(value.get("floor")), value.get("marks")
        if floor is None:
            return cls(begin, 0, frozenset())
        kept = marks if isinstance(marks, str) else ""
        return cls(floor, whole(value.get("count")) or 0, frozenset(kept[at : at + 8] for at in range(0, len(kept), 8)))


def monitoring_page(api: Api, path: str, run: Run, cursor: Cursor, now: datetime) -> Flow[LogPage]:
    """Read the lines of a run from the monitoring log of the time since its start.

    A line is the run's if it names the run; also if it names the data flow and no other id.
    """
    begin = (run.started_at or now - timedelta(seconds=WINDOW)) - SKEW
    whole_window = isinstance(cursor, Mapping) and "n" in cursor
    seen = _Seen.of(None if whole_window else cursor, begin)
    end = (run.ended_at or now) + SKEW
    params = {
        "fromDateTimeUtc": f"{seen.floor:{MONITORING_TIME}}",
        "toDateTimeUtc": f"{end:{MONITORING_TIME}}",
        "logEventType": "DataFlowExecution",
    }
    request = Request("GET", api.url(path), params=params)
    document = yield from api.read(request, f"reading the monitoring log of run {run.run_id}")
    rows = [lowered(row) for row in document] if isinstance(document, list) else []
    own = [row for row in rows if row.get("data") and is_of(run, str(row["data"]))]
    timed = [(moment, row) for row in own if (moment := _moment(row.get("timestamputc"))) is not None]
    if whole_window or len(timed) < len(own):  # without times the whole log has to be compared
        return unseen([_monitoring_line(row) for row in own], cursor)
    timed.sort(key=lambda pair: pair[0])
    return _new(timed, seen, begin)


def is_of(run: Run, text: str) -> bool:
    """Say whether a line is about a run."""
    text, flow = text.lower(), run.workflow.lower()
    if run.run_id.lower() in text:
        return True
    return bool(flow) and flow in text and not _GUID.search(text.replace(flow, ""))


def _new(timed: Sequence[tuple[datetime, Mapping[str, Any]]], seen: _Seen, begin: datetime) -> LogPage:
    new, of_floor = [], 0
    for moment, row in timed:
        if moment == seen.floor:
            of_floor += 1
            is_new = of_floor > seen.count
        else:
            is_new = moment > seen.floor and _mark(row) not in seen.marks
        if is_new:
            new.append(_monitoring_line(row))
    kept = [(moment, row) for moment, row in timed if moment >= seen.floor]
    if not kept:
        return LogPage(new, {"floor": iso(seen.floor), "count": seen.count, "marks": "".join(sorted(seen.marks))})
    floor = max(seen.floor, kept[-1][0] - OVERLAP, begin)
    after = [(moment, row) for moment, row in kept if moment > floor]
    if len(after) > KEPT:
        floor = after[-KEPT - 1][0]
        after = [(moment, row) for moment, row in kept if moment > floor]
    count = sum(1 for moment, _ in kept if moment == floor)
    return LogPage(new, {"floor": iso(floor), "count": count, "marks": "".join(_mark(row) for _, row in after)})


def _monitoring_line(row: Mapping[str, Any]) -> LogLine:
    level = MONITORING_LEVELS.get(str(row.get("level") or "").lower(), "info")
    return LogLine(_moment(row.get("timestamputc")), level, str(row["data"]))


def _moment(value: Any) -> datetime | None:
    """Read a time of the monitoring log; how an answer spells it is unverified."""
    try:
        return parse_time(value)
    except (TypeError, ValueError):
        pass
    try:
        return datetime.strptime(str(value).strip(), MONITORING_TIME).replace(tzinfo=UTC)
    except ValueError:
        return None


def _mark(row: Mapping[str, Any]) -> str:
    text = f"{row.get('rowid')}\0{row.get('timestamputc')}\0{row.get('data')}"
    return blake2b(text.encode(errors="replace"), digest_size=4).hexdigest()
