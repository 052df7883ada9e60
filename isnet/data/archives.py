"""Unpacking archives that may be hostile: nothing is written outside the target folder."""

from __future__ import annotations

import tarfile
import zipfile
from pathlib import Path, PurePosixPath

from isnet.errors import UserError

__all__ = ["extract"]


def extract(archive: Path, target: Path) -> None:
    """Unpack a zip or tar archive into `target`.

    Raises:
        UserError: not an archive, damaged, or with a member that would leave `target`.
    """
    try:
        if zipfile.is_zipfile(archive):
            _extract_zip(archive, target)
        elif tarfile.is_tarfile(archive):
            with tarfile.open(archive) as tar:
                tar.extractall(target, filter="data")
        else:
            raise UserError(
                f"{archive} is neither a zip nor a tar archive",
                cure="Download it again (is it an HTML page?)",
            )
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError) as error:
        raise UserError(
            f"{archive} cannot be unpacked: {error}", cure="Download it again"
        ) from error


def _extract_zip(archive: Path, target: Path) -> None:
    with zipfile.ZipFile(archive) as zipped:
        for name in zipped.namelist():
            path = PurePosixPath(name)
            if path.is_absolute() or ".." in path.parts:
                raise UserError(
                    f"{archive} wants to write {name}, outside its folder", cure="Do not use it"
                )
        # ZipFile checks the CRC of each member while it unpacks.
        zipped.extractall(target)
