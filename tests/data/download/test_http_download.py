"""A file is fetched whole and verified, or one line says why not."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import threading
import time
from pathlib import Path

import pytest
from downloads import CONTENT, HALF, OTHER, PAGE, SHA256, Download, starts
from file_server import FileServer, Reply

from isnet.data.download import LoginRequired, retry
from isnet.errors import UserError


@pytest.mark.parametrize(
    "published",
    [
        dict(sha256=SHA256, size=len(CONTENT)),
        dict(sha256=SHA256[:8]),
        dict(sha1=hashlib.sha1(CONTENT).hexdigest(), md5=hashlib.md5(CONTENT).hexdigest()),
    ],
)
def test_a_file_is_fetched_once_verified_and_alone_in_its_folder(
    download: Download, published: dict[str, str | int]
) -> None:
    download(**published)
    download(**published)
    assert download.path.read_bytes() == CONTENT
    assert download.left() == {"set.zip"}
    assert len(download.server.requests) == 1
    assert download.shown[0] == (0, len(CONTENT))
    assert download.shown[-1] == (len(CONTENT), len(CONTENT))
    assert download.said == [f"downloads {download.url}", f"saved {download.path} (300.0 kB)"]


def test_bytes_that_were_corrupted_in_one_go_are_refused(download: Download) -> None:
    download.server.replies = [Reply(content=OTHER)]
    with pytest.raises(UserError) as told:
        download(sha256=SHA256)
    other = hashlib.sha256(OTHER).hexdigest()
    assert str(told.value) == (
        f"{download.url}: the content is not that of set.zip: its SHA-256 is {other}, not {SHA256}."
        " Copy it by hand"
    )
    assert download.left() == set()


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply(headers={"Content-Type": "text/html; charset=utf-8"}, content=PAGE), "text/html"),
        (Reply(content=b"\n" + PAGE), "octet-stream"),
    ],
)
def test_a_login_page_with_status_200_is_named(
    download: Download, reply: Reply, reason: str
) -> None:
    download.server.files["/login"] = PAGE
    reply_ = Reply(status=302, headers={"Location": "/login?token=secret"})
    download.server.replies = [reply_, reply]
    with pytest.raises(LoginRequired) as told:
        download()
    assert str(told.value) == (
        f"{download.server.url}/login?...: the server sent a web page instead of set.zip (a log-in "
        "page?). Copy it by hand"
    )
    assert download.left() == set()


@pytest.mark.parametrize(
    ("replies", "published", "reason"),
    [
        ([Reply(status=404)], {}, "the server answers 404 Not Found: {path} was not made"),
        ([Reply(status=403)], {}, "the server answers 403 Forbidden (is a log-in needed?): {path} was not made"),
        ([Reply(status=500)] * 5, {}, "the server answers 500 Internal Server Error, at attempt 5: {path} was not made"),
        ([Reply(status=503, headers={"Retry-After": "86400"})], {}, "the server answers 503 Service Unavailable and asks to wait 86400 s: {path} was not made"),
        ([Reply(told_length=400_000)] * 9, {}, "the connection was cut, at attempt 5: {path} was not made"),
        ([Reply()], dict(size=5), "the content is not that of set.zip: the server offers 300,000 bytes, not 5"),
        ([Reply(told_length=1000)], dict(size=300_000), "the content is not that of set.zip: the server offers 1,000 bytes, not 300,000"),
        ([Reply(told_length=1000)], dict(sha256=SHA256), f"the content is not that of set.zip: its SHA-256 is {hashlib.sha256(CONTENT[:1000]).hexdigest()}, not {SHA256}"),
        ([Reply(status=302, headers={"Location": "/set.zip"})] * 40, {}, "the server redirects in circles: {path} was not made"),
    ],
)  # fmt: skip
def test_what_does_not_pass_is_one_line(
    download: Download, replies: list[Reply], published: dict[str, int | str], reason: str
) -> None:
    download.server.replies = list(replies)
    with pytest.raises(UserError) as told:
        download(**published)
    expected = f"{download.url}: {reason}. Copy it by hand"
    assert str(told.value) == expected.format(path=download.path)
    assert not download.path.exists()


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_what_may_pass_is_tried_again(download: Download, status: int) -> None:
    download.server.replies = [Reply(status=status)] * 4
    download(sha256=SHA256)
    assert len(download.server.requests) == 5
    assert download.path.read_bytes() == CONTENT


def test_pauses_grow_and_retry_after_is_honoured(
    download: Download, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(retry, "_FIRST_PAUSE", 1.0)
    monkeypatch.setattr("time.sleep", pauses.append)
    soon = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 100))
    later = [Reply(status=429, headers={"Retry-After": asked}) for asked in ("30", soon)]
    download.server.replies = [Reply(status=503), Reply(status=503), *later]
    download()
    first, second, third, fourth = (pause for pause in pauses if pause > 0.5)
    assert 1.0 <= first <= 1.5
    assert 2.0 <= second <= 3.0
    assert third == 30.0
    assert 95 < fourth <= 100
    assert "the server answers 429 Too Many Requests; tries again in 30 s" in download.said


def test_a_slow_server_is_waited_for(download: Download) -> None:
    download.server.replies = [Reply(pause=0.05)]
    download()
    assert len(download.server.requests) == 1


@pytest.mark.parametrize("url", ["ftp://host.invalid/set.zip", "http:///set.zip"])
def test_an_invalid_address_is_one_line(download: Download, url: str) -> None:
    download.url = url
    with pytest.raises(
        UserError, match=f"{url}: this is not a valid http or https address: .* was not made"
    ):
        download()


def test_no_connection_is_one_line(download: Download) -> None:
    download.url = "http://127.0.0.1:1/set.zip"
    with pytest.raises(UserError, match="no connection, at attempt 5"):
        download()


def test_credentials_are_used_and_never_shown_or_written(download: Download) -> None:
    server = download.server
    server.files["/set.zip?token=geheim"] = CONTENT
    server.replies = [Reply(cut_after=HALF), Reply(status=404)]
    address = server.url.removeprefix("http://")
    download.url = f"http://anna:passwort@{address}/set.zip?token=geheim"
    with pytest.raises(UserError) as told:
        download()
    written = "".join(path.read_text(errors="replace") for path in download.path.parent.iterdir())
    download()
    written += "".join(path.read_text(errors="replace") for path in download.path.parent.iterdir())
    for secret in ("anna", "passwort", "geheim"):
        assert secret not in "\n".join([str(told.value), *download.said]) + written
    assert str(told.value).startswith(f"http://...@{address}/set.zip?...: the server answers 404")
    assert all("Authorization" in request.headers for request in server.requests)


def test_the_first_hash_is_held_where_none_is_published(download: Download) -> None:
    download()
    assert any(f"its SHA-256 {SHA256} is required from now on" in line for line in download.said)
    hash_lock = download.path.with_name("downloads.lock.json")
    download.path.unlink()
    download.server.files["/set.zip"] = OTHER
    other = hashlib.sha256(OTHER).hexdigest()
    with pytest.raises(UserError) as told:
        download()
    assert f"its SHA-256 is {other}, not {SHA256}. It was first downloaded on 20" in str(told.value)
    assert str(told.value).endswith(f'changed it, delete "set.zip" from {hash_lock}')
    assert not download.path.exists()
    hash_lock.write_text("{}\n")
    download()
    assert download.path.read_bytes() == OTHER
    assert other in hash_lock.read_text()


def test_a_file_that_lies_there_is_checked(download: Download) -> None:
    download.path.parent.mkdir()
    download.path.write_bytes(OTHER)
    with pytest.raises(
        UserError, match=r"its SHA-256 is .* Delete it; the same command downloads it"
    ):
        download(sha256=SHA256)
    assert download.server.requests == []


def test_a_small_disk_is_found_before_the_transfer(
    download: Download, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage("/")._replace(free=(64 << 20) + 1000)
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    with pytest.raises(UserError) as told:
        download(sha256=SHA256)
    assert str(told.value) == (
        f"{download.path.parent}: the rest of set.zip needs 300.0 kB, and there are 1.0 kB free. "
        "Free some space, or set another folder (data: ISNET_DATA, ImageNet weights: TORCH_HOME); "
        "the same command continues"
    )
    assert download.part.stat().st_size == 0


@pytest.fixture
def small_disk(tmp_path: Path):  # type: ignore[no-untyped-def]
    """A file system of 200 kB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("needs the right to mount a tmpfs")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_disk_that_fills_up_is_one_line_and_the_part_stays(
    download: Download, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage("/")
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)  # somebody else fills it meanwhile
    download.path = small_disk / "set.zip"
    with pytest.raises(UserError, match=r"set\.zip\.part: the disk is full\. Free some space"):
        download(sha256=SHA256)
    reached = download.part.stat().st_size
    assert reached > 100_000
    subprocess.run(["mount", "-o", "remount,size=1m", str(small_disk)], check=True)
    download(sha256=SHA256)
    assert starts(download.server) == [0, reached]
    assert download.path.read_bytes() == CONTENT


def test_a_folder_that_cannot_be_written_is_one_line(download: Download, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    with pytest.raises(
        UserError, match=r"cannot be written: .*\. Make it writable, or set another folder"
    ):
        download()


def test_of_several_downloaders_one_fetches_and_the_others_wait_for_it(
    server: FileServer, tmp_path: Path
) -> None:
    server.replies = [Reply(pause=0.05)]
    downloads = [Download(server, tmp_path) for _ in range(4)]
    threads = [threading.Thread(target=one, kwargs={"sha256": SHA256}) for one in downloads]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(server.requests) == 1
    assert downloads[0].path.read_bytes() == CONTENT
    waited = [line for line in downloads[0].said if line.startswith("waits for ")]
    assert len(waited) == 3
    assert any(f"process {os.getpid()} on " in line for line in waited)
    assert downloads[0].left() == {"set.zip"}


@pytest.mark.parametrize("digest", ["abc", "A" * 64, "z" * 64])
def test_a_published_hash_of_another_form_is_refused(download: Download, digest: str) -> None:
    with pytest.raises(ValueError, match="is not a valid SHA-256"):
        download.file(sha256=digest)
