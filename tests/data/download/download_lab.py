"""A checkout with one data set, and a server, as the tests of `download` use them."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from damage import write_camvid
from file_server import FileServer
from PIL import Image

from isnet.cli import main


class Lab:
    """A checkout with a data set `set`, and a server."""

    def __init__(self, server: FileServer, folder: Path, capsys: pytest.CaptureFixture[str]):
        self.server = server
        self.folder = folder
        """Outside the checkout."""
        self.downloads = Path.cwd() / "data/downloads"
        self._capsys = capsys
        self._params = Path("params.yaml").read_text()

    def write(self, kind: str, source: object, **more: object) -> None:
        """Make the data set of params.yaml."""
        given = {"kind": kind, **({} if source is None else {"source": source}), **more}
        entry = f"  set: {json.dumps(given)}\nruns:\n"
        Path("params.yaml").write_text(self._params.replace("runs:\n", entry, 1))

    def download(self) -> list[str]:
        """Run the stage, which must go well; return what it said."""
        self._capsys.readouterr()
        code = main(["download", "--dataset", "set"])
        lines = self._capsys.readouterr().err.splitlines()
        assert code == 0, lines
        return [line.removeprefix("[download set] ") for line in lines]

    def fails(self) -> str:
        """Run the stage, which must stop with code 2; return its one line."""
        self._capsys.readouterr()
        assert main(["download", "--dataset", "set"]) == 2
        (line,) = (
            line
            for line in self._capsys.readouterr().err.splitlines()
            if not line.startswith("[download set] ")
        )
        return line.removeprefix("isnet: ")

    def source(self) -> dict[str, Any]:
        return json.loads(Path("results/datasets/set/source.json").read_text())

    def place(self) -> Path:
        (folder,) = Path.cwd().glob("data/set/*")
        return folder

    def serve_camvid(self) -> tuple[str, Path]:
        """Serve an archive of a small CamVid; return its address, and where its download goes."""
        write_camvid(self.folder / "camvid")
        self.server.files["/camvid.zip"] = packed(self.folder / "camvid")
        return f"{self.server.url}/camvid.zip", self.at(f"{self.server.url}/camvid.zip")

    def at(self, url: str) -> Path:
        digest = hashlib.sha256(url.encode()).hexdigest()[:8]
        return self.downloads / f"127.0.0.1-{digest}" / url.rpartition("/")[2]


def packed(folder: Path, top: str = "wrapped") -> bytes:
    """A zip of a folder."""
    return zip_of(
        {
            f"{top}/{path.relative_to(folder)}": path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }
    )


def zip_of(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as zipped:
        for name, content in files.items():
            zipped.writestr(name, content)
    return buffer.getvalue()


def png(value: int = 0) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((4, 6), value, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def packed_with(folder: Path, more: bytes) -> bytes:
    buffer = io.BytesIO(packed(folder))
    with zipfile.ZipFile(buffer, "a") as zipped:
        zipped.writestr("wrapped/more", more)
    return buffer.getvalue()


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt
