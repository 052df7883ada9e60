"""`isnet new`: lays out a new project, or shows what this version would change in one."""

import difflib
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from isnet.errors import UserError
from isnet.extras import EXTRAS, install_command, is_installed
from isnet.settings.layout import check_path
from isnet.settings.project_files import USER_FILES, WORKFLOW_FILES, project_files


def new(folder: Path | None, *, upgrade: bool) -> None:
    """Lay out a project in a new or empty folder; with `upgrade`, only print a diff.

    Raises UserError if no folder is named, it is not empty, or, with `upgrade`, has no project.
    """
    if upgrade:
        _print_upgrade(folder or Path())
    elif folder is None:
        raise UserError("the folder of the new project is missing", hint="Type `isnet new FOLDER`")
    else:
        _lay_out(folder)


def _lay_out(folder: Path) -> None:
    check_path(folder.resolve())
    _check_empty(folder)
    files = project_files(*USER_FILES, *WORKFLOW_FILES)
    try:
        for name, source in files.items():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    except OSError as error:
        for path in _content(folder):  # all of it was written here
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        what = f"cannot be written: {error.strerror or error}"
        raise UserError(what, where=str(folder), hint="Name another folder") from None
    print(f"Written: a project of {len(files)} files in {folder}")
    print("\n".join(["Next:", f"  cd {shlex.quote(str(folder))}", *_next_steps(folder)]))


def _check_empty(folder: Path) -> None:
    try:
        is_file, is_empty = folder.exists() and not folder.is_dir(), not _content(folder)
    except OSError as error:
        what = f"cannot be read: {error.strerror or error}"
        raise UserError(what, where=str(folder), hint="Name another folder") from None
    if is_file or not is_empty:
        what = "is a file" if is_file else "is not empty"
        raise UserError(what, where=str(folder), hint="Name a new folder; nothing is overwritten")


def _content(folder: Path) -> list[Path]:
    """Return what is in a folder but `.git`; of a folder that does not exist, nothing."""
    return [each for each in folder.iterdir() if each.name != ".git"] if folder.is_dir() else []


def _next_steps(folder: Path) -> Iterator[str]:
    """Make the project a git repository, which DVC needs, and yield what the user types next."""
    if not _make_git_repository(folder):
        yield "  git init                 # after you have installed git: DVC needs it"
    if missing := [engine for engine in EXTRAS["pipeline"] if not is_installed(engine)]:
        yield f"  {install_command(missing[0]).strip('`')}    # Snakemake and DVC"
    yield "  isnet init NAME IMAGES   # a folder of your own images and labels; or skip it: a demo"
    yield "  snakemake --cores all    # or: dvc repro"


def _make_git_repository(folder: Path) -> bool:
    """Make a folder a git repository unless it is part of one; return False if git fails.

    A repository that ignores `dvc.yaml` does not count, because DVC refuses it.
    """
    elsewhere = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE")
    environment = {name: value for name, value in os.environ.items() if name not in elsewhere}

    def git(*words: str) -> tuple[int, bytes]:
        command = ["git", "-C", str(folder), *words]
        done = subprocess.run(command, env=environment, capture_output=True, check=False)
        return done.returncode, done.stdout.strip()

    try:
        is_inside = git("rev-parse", "--is-inside-work-tree") == (0, b"true")
        is_part = is_inside and git("check-ignore", "-q", "dvc.yaml")[0] == 1
        return is_part or git("init", "--quiet")[0] == 0
    except OSError:
        return False


def _print_upgrade(folder: Path) -> None:
    try:
        if not (folder / "params.yaml").is_file():
            raise UserError("there is no project", where=str(folder), hint="Name its folder")
        changed, added, diff = _compare(folder)
    except OSError as error:
        what = f"cannot be read: {error.strerror or error}"
        place = str(error.filename or folder)
        raise UserError(what, where=place, hint="Make it readable") from None
    sys.stdout.buffer.writelines(diff)
    lists = {"would change": changed, "would be new": added}
    told = [f"{len(names)} {what}: {', '.join(names)}" for what, names in lists.items() if names]
    hint = "`isnet new --upgrade | git apply` in the project takes all of it over"
    told = [*told, hint] if told else ["The workflow is that of this version of isnet"]
    print("\n".join(told), file=sys.stderr)


def _compare(folder: Path) -> tuple[list[str], list[str], list[bytes]]:
    """Return the names of files that differ from this version's or lack, and lines of a diff."""
    changed, added, diff = list[str](), list[str](), list[bytes]()
    for name, source in project_files(*WORKFLOW_FILES).items():
        old, fresh = folder / name, _lines(source)
        exists = old.is_file()
        before = _lines(old) if exists else []
        if before == fresh:
            continue
        (changed if exists else added).append(name)
        labels = (f"a/{name}" if exists else os.devnull).encode(), f"b/{name}".encode()
        diff += difflib.diff_bytes(difflib.unified_diff, before, fresh, *labels)
    return changed, added, diff


def _lines(file: Path) -> list[bytes]:
    with file.open("rb") as content:
        lines = content.readlines()
    if lines and not lines[-1].endswith(b"\n"):
        lines[-1] += b"\n\\ No newline at end of file\n"
    return lines
