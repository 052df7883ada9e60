"""A download as the tests make it."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

from file_server import FileServer
from log_lines import record_log

from isnet.data.download import ExpectedFile, HashLockFile, RemoteFile, fetch

CONTENT = random.Random(0).randbytes(300_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
HALF = len(CONTENT) // 2
PAGE = b"<!DOCTYPE html>\n<html><title>Log in</title></html>"
OTHER = CONTENT[:HALF] + b"\0" + CONTENT[HALF + 1 :]


def starts(server: FileServer) -> list[int]:
    """The byte from which each request asked."""
    ranges = [request.headers.get("Range", "bytes=0-") for request in server.requests]
    return [int(asked.removeprefix("bytes=").removesuffix("-")) for asked in ranges]


class Download:
    """A fetch of `/set.zip` into `data/set.zip`, and what it said and showed."""

    def __init__(self, server: FileServer, folder: Path) -> None:
        self.server = server
        self.path = folder / "data/set.zip"
        self.url = f"{server.url}/set.zip"
        self.said = record_log()
        self.shown: list[tuple[int, int | None]] = []

    @property
    def part(self) -> Path:
        return self.path.with_name("set.zip.part")

    def file(self, **published: str | int) -> RemoteFile:
        identity = ExpectedFile(**published)  # type: ignore[arg-type]
        hash_lock = HashLockFile(self.path.parent)
        return RemoteFile(self.url, self.path, hash_lock, "Copy it by hand", identity)

    def __call__(self, **published: str | int) -> None:
        def show(done: int, total: int | None = None, note: str = "") -> None:
            self.shown.append((done, total))

        fetch(self.file(**published), show=show)

    def left(self) -> set[str]:
        """All files beside the target, hidden ones too."""
        return {path.name for path in self.path.parent.iterdir()}
