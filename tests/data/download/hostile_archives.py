"""Archives that want more than to be unpacked."""

from __future__ import annotations

import io
import os
import stat
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

__all__ = ["HOSTILE", "LINKS_INSIDE", "OUTSIDE", "write_tar", "write_zip"]

OUTSIDE = Path(tempfile.gettempdir()) / f"isnet-outside-{os.getpid()}"

Entries = list[tuple[str, bytes | str]]
"""Name, and content or (as text) the target of a link."""


def write_zip(path: Path, entries: Entries) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, content in entries:
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            if isinstance(content, str):
                info.external_attr = (stat.S_IFLNK | 0o777) << 16
            zipped.writestr(info, content)


def write_tar(path: Path, entries: Entries) -> None:
    suffix = path.suffix.removeprefix(".").replace("tgz", "gz")
    with tarfile.open(path, f"w:{suffix if suffix != 'tar' else ''}") as tar:  # type: ignore[call-overload]
        for name, content in entries:
            info = tarfile.TarInfo(name)
            if isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
                tar.addfile(info)
            else:
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))


def _special(kind: bytes, linkname: str = "") -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with tarfile.open(path, "w") as tar:
            info = tarfile.TarInfo("thing")
            info.type, info.linkname = kind, linkname
            tar.addfile(info)

    return write


def _zip_device(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as zipped:
        info = zipfile.ZipInfo("thing")
        info.external_attr = (stat.S_IFCHR | 0o666) << 16
        zipped.writestr(info, b"")


def _zip_bomb(path: Path) -> None:
    """Many members that share one content; 1.1 GB in about 1 MB."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as zipped:
        zipped.writestr("0", bytes(11 << 20))
        first = zipped.infolist()[0]
        for number in range(1, 110):
            again = zipfile.ZipInfo(str(number))
            for name in ("CRC", "compress_size", "file_size", "compress_type", "header_offset"):
                setattr(again, name, getattr(first, name))
            zipped.filelist.append(again)
            zipped.NameToInfo[again.filename] = again


def _tar_bomb(path: Path) -> None:
    with tarfile.open(path, "w:bz2") as tar:
        info = tarfile.TarInfo("zeros")
        info.size = 40 << 20
        tar.addfile(info, io.BytesIO(bytes(info.size)))


ESCAPES: dict[str, tuple[Entries, str]] = {
    "parent": ([("../outside", b"x")], "contains ../outside, which is outside its folder"),
    "parent within": ([("a/../../outside", b"x")], "contains a/../../outside, which is outside"),
    "absolute": ([(str(OUTSIDE), b"x")], f"contains {OUTSIDE}, which is outside its folder"),
    "link out": ([("link", "../..")], "contains a link link to ../.., which is not in its folder"),
    "absolute link": ([("link", "/etc/passwd")], "contains a link link to /etc/passwd, which is not"),
    "link back in by the folder's name": ([("a", b"x"), ("link", "../raw.part/a")], "contains a link link to ../raw.part/a"),
    "through a link": ([("here/x", b"x"), ("a/b/up", "../.."), ("out", "a/b/up/..")], "contains a link out to a/b/up/.."),
    "through a later link": ([("out", "a/b/up/.."), ("here/x", b"x"), ("a/b/up", "../..")], "contains a link out to a/b/up/.."),
    "file under a link": ([("up", ".."), ("up/outside", b"x")], "up"),
    "link over a folder": ([("a/x", b"x"), ("a", "..")], "contains a twice"),
    "link under a link": ([("up", ".."), ("up/outside", "x")], "contains up/outside, which is outside its folder"),
    "folder in place of a file": ([("a", b"x"), ("a/b", b"y")], "contains a file and a folder of the same name, at"),
    "link to nothing": ([("link", "absent")], "contains a link link to absent, which is not"),
    "escape codes": ([("../\x1b[31mred", b"x")], r"'../\x1b[31mred'"),
}  # fmt: skip


def _entries(entries: Entries, write: Callable[[Path, Entries], None]) -> Callable[[Path], None]:
    return lambda path: write(path, entries)


HOSTILE: dict[str, tuple[Callable[[Path], None], str]] = {
    **{f"zip: {name}": (_entries(one, write_zip), told) for name, (one, told) in ESCAPES.items()},
    **{f"tar: {name}": (_entries(one, write_tar), told) for name, (one, told) in ESCAPES.items()},
    "tar: device": (_special(tarfile.CHRTYPE), "contains thing, which is neither a file, a folder nor"),
    "tar: fifo": (_special(tarfile.FIFOTYPE), "contains thing, which is neither a file, a folder nor"),
    "tar: hard link out": (_special(tarfile.LNKTYPE, "../outside"), "contains ../outside"),
    "tar: hard link, absolute": (_special(tarfile.LNKTYPE, "/etc/passwd"), "contains /etc/passwd"),
    "tar: hard link to nothing": (_special(tarfile.LNKTYPE, "x"), "thing is a hard link to no file"),
    "zip: device": (_zip_device, "contains thing, which is neither a file, a folder nor a link"),
    "zip: bomb": (_zip_bomb, "grows to more than 1.1 GB, like a decompression bomb. If you trust it"),
    "tar: bomb": (_tar_bomb, "grows to more than 8.4 MB, like a decompression bomb. If you trust it"),
    "web page": (lambda path: path.write_text("<html>log in</html>"), "is neither a zip nor a tar archive. Get it again (is it an HTML page?)"),
    "empty": (lambda path: path.touch(), "is neither a zip nor a tar archive"),
}  # fmt: skip
"""Name -> (how it is written, what the line says)."""

LINKS_INSIDE: Entries = [
    ("b/to-file", "../a/file"),
    ("a/file", b"content"),
    ("to-folder", "a"),
    ("to-link", "to-folder"),
]
