"""What has arrived of a file is not fetched again, and never mixed with other bytes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest
from downloads import CONTENT, HALF, OTHER, PAGE, SHA256, Download, starts
from file_server import Reply

from isnet.data.download import LoginRequired, fetch, http_download, retry


@pytest.mark.parametrize("validator", ["etag", "weak", "date", "none"])
def test_what_is_cut_resumes_where_it_stopped(download: Download, validator: str) -> None:
    server = download.server
    server.validator = validator  # type: ignore[assignment]
    server.replies = [Reply(cut_after=HALF), Reply(cut_after=1000)]
    download(sha256=SHA256)
    assert download.path.read_bytes() == CONTENT
    assert starts(server) == [0, HALF, HALF + 1000]
    assert sum(request.sent for request in server.requests) == len(CONTENT)
    assert server.requests[1].headers.get("If-Range") == {
        "etag": server.validators(CONTENT).get("ETag"),
        "date": server.validators(CONTENT).get("Last-Modified"),
    }.get(validator)
    assert "the connection was cut; tries again in 0 s" in download.said


def test_without_validator_and_hash_nothing_is_pieced_together(download: Download) -> None:
    download.server.validator = "none"
    download.server.replies = [Reply(cut_after=HALF)]
    download()
    assert starts(download.server) == [0, 0]
    assert download.path.read_bytes() == CONTENT


def test_a_server_that_ignores_ranges_is_believed(download: Download) -> None:
    download.server.replies = [Reply(cut_after=HALF), Reply(ignores_range=True)]
    download(sha256=SHA256)
    assert starts(download.server) == [0, HALF]
    assert download.path.read_bytes() == CONTENT


@pytest.mark.parametrize("validator", ["etag", "weak", "date"])
def test_a_file_that_changes_between_two_attempts_is_downloaded_again(
    download: Download, validator: str
) -> None:
    server = download.server
    server.validator = validator  # type: ignore[assignment]
    server.replies = [Reply(content=OTHER + b"x", cut_after=HALF)]
    download(sha256=SHA256)
    assert download.path.read_bytes() == CONTENT


@pytest.mark.parametrize("lie", [dict(told_start=5), dict(told_total=7), dict(headers={"Content-Range": "x"})])  # fmt: skip
def test_a_range_that_was_not_asked_for_is_not_appended(
    download: Download, lie: dict[str, object]
) -> None:
    download.server.replies = [Reply(cut_after=HALF), Reply(**lie)]  # type: ignore[arg-type]
    download(sha256=SHA256)
    assert starts(download.server) == [0, HALF, 0]
    assert download.path.read_bytes() == CONTENT


def test_a_whole_part_whose_length_nobody_told_meets_416(download: Download) -> None:
    nobody = Reply(headers={"Content-Length": ""})
    download.server.replies = [nobody]
    with pytest.raises(KeyboardInterrupt):
        fetch(download.file(sha256=SHA256), show=_interrupt_at(len(CONTENT)))
    download(sha256=SHA256)
    assert starts(download.server) == [0, len(CONTENT)]
    assert download.server.requests[1].sent == 0
    assert download.path.read_bytes() == CONTENT


def test_a_whole_part_is_not_asked_for_again(download: Download) -> None:
    with pytest.raises(KeyboardInterrupt):
        fetch(download.file(sha256=SHA256), show=_interrupt_at(len(CONTENT)))
    assert not download.path.exists()
    download(sha256=SHA256)
    assert len(download.server.requests) == 1
    assert download.left() == {"set.zip"}


def test_a_whole_part_that_was_damaged_is_downloaded_again(download: Download) -> None:
    with pytest.raises(KeyboardInterrupt):
        fetch(download.file(sha256=SHA256), show=_interrupt_at(len(CONTENT)))
    download.part.write_bytes(OTHER)
    download(sha256=SHA256)
    assert starts(download.server) == [0, 0]
    assert download.path.read_bytes() == CONTENT


def test_a_part_longer_than_the_file_meets_416_and_is_downloaded_again(download: Download) -> None:
    download.server.replies = [Reply(content=CONTENT + b"more", headers={"ETag": '"same"'})]
    with pytest.raises(KeyboardInterrupt):
        fetch(download.file(sha256=SHA256), show=_interrupt_at(len(CONTENT)))
    download.part.write_bytes(CONTENT + b"mo")
    download(sha256=SHA256)
    assert download.path.read_bytes() == CONTENT


def _interrupt_at(size: int):  # type: ignore[no-untyped-def]
    def show(done: int, total: int | None = None, note: str = "") -> None:
        if done >= size:
            raise KeyboardInterrupt

    return show


def test_ctrl_c_leaves_a_part_that_the_next_call_continues(download: Download) -> None:
    with pytest.raises(KeyboardInterrupt):
        fetch(download.file(), show=_interrupt_at(1))
    reached = download.part.stat().st_size
    assert 0 < reached < len(CONTENT)
    assert download.left() == {"set.zip.part", "set.zip.part.json"}
    download()
    assert starts(download.server) == [0, reached]
    assert download.path.read_bytes() == CONTENT
    assert f"downloads {download.url}, from {reached / 1000:.1f} kB on" in download.said


def test_a_part_that_does_not_say_what_it_is_is_not_continued(download: Download) -> None:
    download.path.parent.mkdir()
    download.part.write_bytes(b"whatever")
    download(sha256=SHA256)
    assert starts(download.server) == [0]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_process_is_continued_by_the_next(
    download: Download, number: signal.Signals
) -> None:
    server = download.server
    server.files["/set.zip"] = content = CONTENT * 10
    server.replies = [Reply(pause=0.2)]
    code = f"""if True:
        from pathlib import Path
        from isnet.data.download import HashLockFile, RemoteFile, fetch
        path = Path({str(download.path)!r})
        fetch(RemoteFile({download.url!r}, path, HashLockFile(path.parent), ""), show=lambda *_: None)
    """
    process = subprocess.Popen([sys.executable, "-c", code], env=os.environ, stdout=subprocess.DEVNULL)  # fmt: skip
    while not (download.part.exists() and download.part.stat().st_size > 500_000):
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(number)
    assert process.wait() == -number
    reached = download.part.stat().st_size
    download()
    assert starts(server) == [0, reached]
    assert server.requests[1].sent == len(content) - reached
    assert download.path.read_bytes() == content
    assert not {"set.zip.part", ".set.zip.lock"} & download.left()


def test_bytes_that_were_corrupted_in_pieces_are_fetched_once_more(download: Download) -> None:
    server = download.server
    server.replies = [
        Reply(cut_after=HALF),
        Reply(content=OTHER, headers=server.validators(CONTENT)),
    ]
    server.validator = "none"
    download(sha256=SHA256)
    assert starts(server) == [0, HALF, 0]
    assert download.path.read_bytes() == CONTENT
    assert any("the resumed download is damaged (its SHA-256 is" in line for line in download.said)


def test_a_login_page_does_not_cost_what_has_arrived(download: Download) -> None:
    page = Reply(headers={"Content-Type": "text/html"}, content=PAGE)
    download.server.replies = [Reply(cut_after=HALF), page]
    with pytest.raises(LoginRequired):
        download(sha256=SHA256)
    download(sha256=SHA256)
    assert starts(download.server) == [0, HALF, HALF]


def test_retries_continue_as_long_as_bytes_arrive(
    download: Download, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "_PROGRESS", 10_000)
    download.server.replies = [Reply(cut_after=20_000)] * 12
    download(sha256=SHA256)
    assert len(download.server.requests) == 13


def test_a_server_that_stalls_is_left_and_continued(
    download: Download, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_download, "TIMEOUTS", (10.0, 0.2))
    download.server.files["/set.zip"] = content = CONTENT * 10
    download.server.replies = [Reply(pause=1.0)]
    download()
    assert "no answer in time; tries again in 0 s" in download.said
    assert download.path.read_bytes() == content


def test_redirects_are_followed_with_the_range(download: Download) -> None:
    download.server.files["/elsewhere"] = CONTENT
    moved = Reply(status=301, headers={"Location": "/elsewhere"})
    download.server.replies = [moved, Reply(cut_after=HALF), moved]
    download(sha256=SHA256)
    assert [request.path for request in download.server.requests[2:]] == ["/set.zip", "/elsewhere"]
    assert starts(download.server)[-1] == HALF
