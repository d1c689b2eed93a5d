"""Exit codes, for scripts."""

from __future__ import annotations

from collections.abc import Mapping

DONE, FAILED, WRONG, CANCELLED, GOING, UNKNOWN_START, CONNECTION, UNAVAILABLE = range(8)
INTERRUPTED = 130  # what a shell gives for Ctrl-C

MEANINGS: Mapping[int, str] = {
    DONE: "success; for `status` and `--wait`: the run succeeded",
    FAILED: "the run failed, `doctor` found something wrong, or something unexpected happened",
    WRONG: "the command is not possible: a wrong argument, an unknown workflow, run or output, a missing API call",
    CANCELLED: "the run was cancelled",
    GOING: "the run is still active, for example after `--timeout`",
    UNKNOWN_START: "the answer to a start was lost: a run may have been started, look for it",
    CONNECTION: "the connection is missing or incomplete, or its credentials were refused",
    UNAVAILABLE: "the server did not answer, or its answer is not one of this API; try again later",
    INTERRUPTED: "interrupted with Ctrl-C; a run that was started continues",
}
