"""Exit codes, for scripts."""

from __future__ import annotations

from collections.abc import Mapping

DONE, FAILED, WRONG, CANCELLED, GOING, UNKNOWN_START, CONNECTION, UNAVAILABLE = range(8)
INTERRUPTED = 130  # what a shell gives for Ctrl-C

MEANINGS: Mapping[int, str] = {
    DONE: "done; of a run that was looked at or awaited: it succeeded",
    FAILED: "the run failed, `doctor` found something wrong, or something unexpected happened",
    WRONG: "what was asked for cannot be done: a wrong argument, an unknown workflow, run or output, or the API cannot",
    CANCELLED: "the run was cancelled",
    GOING: "the run is still going, perhaps when `--timeout` was over",
    UNKNOWN_START: "a start was sent and its answer lost: a run may have been started, look for it",
    CONNECTION: "the connection is missing or incomplete, or its credentials were refused",
    UNAVAILABLE: "the server could not answer, or not as this API does; try again later",
    INTERRUPTED: "interrupted with Ctrl-C; a run that was started goes on",
}
