"""Archives become one folder, whole and safe, or one line says why not and nothing is left."""

from __future__ import annotations

import gzip
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hostile_archives import HOSTILE, LINKS_INSIDE, OUTSIDE, write_tar, write_zip
from log_lines import record_log

from isnet.data.download import safe_extraction as archive_module
from isnet.data.download import unpack
from isnet.data.download.safe_extraction import BadArchive
from isnet.errors import UserError

DRAW = random.Random(0)
FILES = {f"part{n % 7}/{n}.bin": DRAW.randbytes(n * 97 % 3000) for n in range(200)}
WRITERS: dict[str, Callable[[Path, list[tuple[str, bytes | str]]], None]] = {
    name: write_zip if name == "x.zip" else write_tar
    for name in ("x.zip", "x.tar", "x.tar.gz", "x.tgz", "x.tar.bz2", "x.tar.xz")
}


def unpacked(
    *archives: Path, into: Path, workers: int = 2, shown: list[tuple[int, int]] | None = None
) -> dict[str, bytes]:
    def show(done: int, total: int | None = None, note: str = "") -> None:
        if shown is not None:
            shown.append((done, total or 0))

    unpack(archives, into, workers=workers, show=show)
    files = (path for path in into.rglob("*") if path.is_file() and not path.is_symlink())
    return {str(path.relative_to(into)): path.read_bytes() for path in files}


def left(tmp_path: Path) -> set[str]:
    """What lies beside the archive."""
    return {path.name for path in tmp_path.iterdir()}


@pytest.mark.parametrize(("name", "workers"), [("x.zip", 1), *((name, 3) for name in WRITERS)])
def test_an_archive_gives_its_files(tmp_path: Path, name: str, workers: int) -> None:
    WRITERS[name](tmp_path / name, [*FILES.items()])
    shown: list[tuple[int, int]] = []
    assert unpacked(tmp_path / name, into=tmp_path / "raw", workers=workers, shown=shown) == FILES
    assert left(tmp_path) == {name, "raw"}
    size = (tmp_path / name).stat().st_size
    assert [done for done, _ in shown] == sorted(done for done, _ in shown)
    assert shown[-1] == (size, size)


def test_several_archives_make_one_folder(tmp_path: Path) -> None:
    write_zip(tmp_path / "x.zip", [("a/x", b"1"), ("a/both", b"zip")])
    write_tar(tmp_path / "y.tar", [("a/y", b"2"), ("a/both", b"tar")])
    found = unpacked(tmp_path / "x.zip", tmp_path / "y.tar", into=tmp_path / "raw")
    assert found == {"a/x": b"1", "a/y": b"2", "a/both": b"tar"}


def test_a_tar_that_ends_with_a_zip_is_a_tar(tmp_path: Path) -> None:
    write_zip(tmp_path / "inner.zip", [("x", b"1")])
    content = (tmp_path / "inner.zip").read_bytes()
    write_tar(tmp_path / "x.tar", [("inner.zip", content)])
    assert zipfile.is_zipfile(tmp_path / "x.tar")
    assert unpacked(tmp_path / "x.tar", into=tmp_path / "raw") == {"inner.zip": content}


@pytest.mark.parametrize("name", ["x.zip", "x.tar"])
def test_links_that_stay_inside_are_made(tmp_path: Path, name: str) -> None:
    WRITERS[name](tmp_path / name, LINKS_INSIDE)
    unpacked(tmp_path / name, into=tmp_path / "raw")
    for path in ("b/to-file", "to-folder/file", "to-link/file"):
        assert (tmp_path / "raw" / path).read_bytes() == b"content"


def test_hard_links_share_a_file_until_it_is_replaced(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        for name, content in (("first", b"one"), ("second", None), ("first", b"other")):
            info = tarfile.TarInfo(name)
            if content is None:
                info.type, info.linkname = tarfile.LNKTYPE, "first"
            else:
                info.size = len(content)
            tar.addfile(info, io.BytesIO(content or b""))
    found = unpacked(tmp_path / "x.tar", into=tmp_path / "raw")
    assert found == {"first": b"other", "second": b"one"}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_archives_are_refused_and_leave_nothing(
    tmp_path: Path, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, told = HOSTILE[case]
    if case == "tar: bomb":
        monkeypatch.setattr(archive_module, "_ALWAYS_ALLOWED_BYTES", 8 << 20)
    (tmp_path / "deep/er").mkdir(parents=True)
    source = tmp_path / "deep/er" / ("x.zip" if case.startswith("zip") else "x.tar")
    write(source)
    with pytest.raises(BadArchive) as error:
        unpacked(source, into=tmp_path / "deep/er/raw")
    assert str(error.value).startswith(str(source))
    assert told in str(error.value)
    assert "\n" not in str(error.value)
    assert [path for path in tmp_path.rglob("*") if path.is_file() or path.is_symlink()] == [source]
    assert not (tmp_path / "deep/er/raw.part").exists()
    assert not OUTSIDE.exists()


def _flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 0xFF
    path.write_bytes(content)


# A plain tar has no checksums of its files.
@pytest.mark.parametrize(
    ("name", "damage"),
    [
        *((name, "cut") for name in WRITERS),
        *((name, "flipped") for name in WRITERS if name != "x.tar"),
    ],
)
def test_damaged_archives_are_refused_and_leave_nothing(
    tmp_path: Path, name: str, damage: str
) -> None:
    path = tmp_path / name
    WRITERS[name](path, [*FILES.items()])
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-9_000])
    else:
        _flip(path, path.stat().st_size // 2)
    with pytest.raises(BadArchive, match=r"cannot be unpacked: .*\. Get it again"):
        unpacked(path, into=tmp_path / "raw")
    assert left(tmp_path) == {name}


@pytest.mark.parametrize("zipped", [False, True])
def test_a_tar_that_ends_between_two_files_is_not_taken_for_whole(
    tmp_path: Path, zipped: bool
) -> None:
    path = tmp_path / "x.tar"
    write_tar(path, [("a", b"x" * 512), ("b", b"y" * 512)])
    first = path.read_bytes()[:1024]
    path.write_bytes(gzip.compress(first) if zipped else first)
    with pytest.raises(BadArchive, match="it ends too early"):
        unpacked(path, into=tmp_path / "raw")


def test_a_damaged_header_is_not_taken_for_the_end(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    write_tar(path, [("a", b"x" * 512), ("b", b"y" * 512)])
    _flip(path, 1024 + 150)
    with pytest.raises(BadArchive, match="a header is damaged"):
        unpacked(path, into=tmp_path / "raw")


def test_the_checksum_behind_the_end_of_a_compressed_tar_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.tgz"
    write_tar(path, [("a", b"x" * 512)])
    _flip(path, path.stat().st_size - 6)  # in gzip's CRC
    with pytest.raises(BadArchive, match="CRC check failed"):
        unpacked(path, into=tmp_path / "raw")


def test_an_encrypted_zip_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    write_zip(path, [("a", b"x")])
    content = path.read_bytes()
    path.write_bytes(
        content.replace(b"PK\x01\x02\x14\x03\x14\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01")
    )
    with pytest.raises(BadArchive, match=r"is encrypted\. Unpack it yourself and give the folder"):
        unpacked(path, into=tmp_path / "raw")


def _interrupt_after(count: int) -> Callable[..., None]:
    def show(done: int, total: int | None = None, note: str = "") -> None:
        nonlocal count
        count -= 1
        if count <= 0:
            raise KeyboardInterrupt

    return show


@pytest.mark.parametrize("workers", [1, 3])
def test_an_interrupted_zip_is_resumed_and_keeps_only_what_is_whole(
    tmp_path: Path, workers: int
) -> None:
    path = tmp_path / "x.zip"
    write_zip(path, [*FILES.items()])
    with pytest.raises(KeyboardInterrupt):
        unpack([path], tmp_path / "raw", workers=workers, show=_interrupt_after(100))
    assert left(tmp_path) == {"x.zip", "raw.part", "raw.part.json"}
    whole = [one for one in (tmp_path / "raw.part").rglob("*.bin") if one.stat().st_size > 100]
    assert len(whole) > 60
    before = {one: one.stat().st_mtime_ns for one in whole}
    damaged, cut = whole[:2]
    _flip(damaged, 5)
    cut.write_bytes(cut.read_bytes()[:-1])
    changed = {one: one.stat().st_mtime_ns for one in (damaged, cut)}
    assert unpacked(path, into=tmp_path / "raw", workers=workers) == FILES
    for one, when in (before | changed).items():
        after = (tmp_path / "raw" / one.relative_to(tmp_path / "raw.part")).stat().st_mtime_ns
        assert (after == when) is (one not in changed)


@pytest.mark.parametrize("name", ["x.zip", "x.tgz"])
def test_a_killed_unpacking_never_looks_finished_and_is_continued(
    tmp_path: Path, name: str
) -> None:
    WRITERS[name](tmp_path / name, [*FILES.items()])
    code = f"""if True:
        import os, signal
        from pathlib import Path
        from isnet.data.download import unpack
        left = 50
        def show(*_):
            global left
            left -= 1
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)
        unpack([Path({str(tmp_path / name)!r})], Path({str(tmp_path / "raw")!r}), workers=2, show=show)
    """
    assert subprocess.run([sys.executable, "-c", code]).returncode == -signal.SIGKILL
    assert not (tmp_path / "raw").exists()
    assert unpacked(tmp_path / name, into=tmp_path / "raw") == FILES
    assert left(tmp_path) == {name, "raw"}


def test_a_finished_archive_of_several_is_not_unpacked_again(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", [*FILES.items(), ("link", "part0")])
    write_tar(tmp_path / "b.tar", [("b", b"2"), ("c", b"3")])
    archives = [tmp_path / "a.tar", tmp_path / "b.tar"]
    with pytest.raises(KeyboardInterrupt):
        show = _interrupt_after(len(FILES) + 3)
        unpack(archives, tmp_path / "raw", workers=1, show=show)
    before = {one: one.stat().st_mtime_ns for one in (tmp_path / "raw.part").rglob("*.bin")}
    assert len(before) == len(FILES)
    assert unpacked(*archives, into=tmp_path / "raw") == FILES | {"b": b"2", "c": b"3"}
    for one, when in before.items():
        assert (
            tmp_path / "raw" / one.relative_to(tmp_path / "raw.part")
        ).stat().st_mtime_ns == when
    assert (tmp_path / "raw/link").is_symlink()


def test_links_of_an_interrupted_attempt_are_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    write_tar(tmp_path / "x.tar", [("a/x", b"1"), ("a/y", b"2")])
    with pytest.raises(KeyboardInterrupt):
        unpack([tmp_path / "x.tar"], tmp_path / "raw", workers=1, show=_interrupt_after(1))
    shutil.rmtree(tmp_path / "raw.part/a")
    (tmp_path / "raw.part/a").symlink_to(outside)
    unpacked(tmp_path / "x.tar", into=tmp_path / "raw")
    assert not list(outside.iterdir())


@pytest.mark.parametrize("change", ["archive", "folder"])
def test_another_archive_or_a_lost_folder_starts_over(tmp_path: Path, change: str) -> None:
    path, second = tmp_path / "x.tar", tmp_path / "y.tar"
    write_tar(path, [("old", b"1")])
    write_tar(second, [("a", b"1"), ("b", b"1")])
    with pytest.raises(KeyboardInterrupt):
        show = _interrupt_after(3)  # the first is done
        unpack([path, second], tmp_path / "raw", workers=1, show=show)
    assert json.loads((tmp_path / "raw.part.json").read_text())["links"] == [{}, None]
    if change == "archive":
        write_tar(path, [("new", b"2")])
    else:
        shutil.rmtree(tmp_path / "raw.part")
    name, content = ("new", b"2") if change == "archive" else ("old", b"1")
    found = unpacked(path, second, into=tmp_path / "raw")
    assert found == {name: content, "a": b"1", "b": b"1"}


@pytest.mark.parametrize("name", ["x.zip", "x.tar"])
def test_a_small_disk_is_found_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    WRITERS[name](tmp_path / name, [*FILES.items()])
    usage = shutil.disk_usage("/")._replace(free=(64 << 20) + 1000)
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    with pytest.raises(
        UserError, match=rf"the content of {name} needs \d+\.\d kB, and there are 1\.0 kB free"
    ):
        unpacked(tmp_path / name, into=tmp_path / "raw")
    assert not list((tmp_path / "raw.part").iterdir())


def test_of_two_unpackers_the_second_waits_for_the_first(tmp_path: Path) -> None:
    write_tar(tmp_path / "x.tar", [*FILES.items()])
    started, other_told = threading.Event(), threading.Event()
    told: list[str] = []

    def held_up(done: int, total: int | None = None, note: str = "") -> None:
        started.set()
        other_told.wait(30)

    def note(line: str) -> None:
        told.append(line)
        other_told.set()

    arguments = [tmp_path / "x.tar"], tmp_path / "raw"
    record_log(note)
    first = threading.Thread(target=lambda: unpack(*arguments, workers=1, show=held_up))
    first.start()
    started.wait()
    unpack(*arguments, workers=2, show=lambda done, total=None, note="": None)
    assert unpacked(tmp_path / "x.tar", into=tmp_path / "raw") == FILES
    first.join()
    assert told[0].startswith(f"waits for process {os.getpid()} on ")
    assert left(tmp_path) == {"x.tar", "raw"}
