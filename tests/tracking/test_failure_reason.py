"""The one line about a failed upload names the cause, not a word of a path."""

from __future__ import annotations

import errno

from isnet.tracking.failure_reason import failure_reason


def test_a_number_in_a_path_is_no_answer_of_a_server() -> None:
    path = "/data/run-403/timed out"
    error = NotADirectoryError(errno.ENOTDIR, "Not a directory", path)
    assert failure_reason(error).startswith("NotADirectoryError: ")
    assert failure_reason(OSError(errno.ENOSPC, "No space left", path)) == "its disk is full"
    assert failure_reason(RuntimeError("403 Client Error")).startswith("not allowed")
