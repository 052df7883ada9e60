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

    Raises:
        UserError: no folder is named, it is not empty, or, with `upgrade`, has no project.
    """
    if upgrade:
        _print_upgrade(folder or Path())
    elif folder is None:
        raise UserError("the folder of the new project is missing", hint="Type `isnet new FOLDER`")
    else:
        _lay_out(folder)


def _lay_out(folder: Path) -> None:
    check_path(folder.resolve())
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        what = "is not empty" if folder.is_dir() else "is a file"
        raise UserError(what, where=str(folder), hint="Name a new folder; nothing is overwritten")
    files = project_files(*USER_FILES, *WORKFLOW_FILES)
    try:
        for name, source in files.items():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    except OSError as error:
        for path in [*folder.iterdir()] if folder.is_dir() else []:  # all of it was written here
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        what = f"cannot be written: {error.strerror or error}"
        raise UserError(what, where=str(folder), hint="Name another folder") from None
    print(f"Written: a project of {len(files)} files in {folder}")
    print("\n".join(["Next:", f"  cd {shlex.quote(str(folder))}", *_next_steps(folder)]))


def _next_steps(folder: Path) -> Iterator[str]:
    """Make the project a git repository, which DVC needs, and yield what the user types next."""
    if not _make_git_repository(folder):
        yield "  git init                 # after you have installed git: DVC needs it"
    if missing := [engine for engine in EXTRAS["pipeline"] if not is_installed(engine)]:
        yield f"  {install_command(missing[0]).strip('`')}    # Snakemake and DVC"
    yield "  isnet init NAME IMAGES   # a folder of your own images and labels; or skip it: a demo"
    yield "  snakemake --cores all    # or: dvc repro"


def _make_git_repository(folder: Path) -> bool:
    """Make a folder a git repository unless it is inside one; return False if git fails."""

    def git(*words: str) -> bool:
        command = ["git", "-C", str(folder), *words]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    try:
        return git("rev-parse", "--is-inside-work-tree") or git("init", "--quiet")
    except OSError:
        return False


def _print_upgrade(folder: Path) -> None:
    if not (folder / "params.yaml").is_file():
        raise UserError("there is no project", where=str(folder), hint="Name its folder")
    changed, added = list[str](), list[str]()
    for name, source in project_files(*WORKFLOW_FILES).items():
        old, fresh = folder / name, _lines(source)
        before = _lines(old) if old.is_file() else []
        if before == fresh:
            continue
        (changed if old.is_file() else added).append(name)
        label = f"a/{name}" if old.is_file() else os.devnull
        sys.stdout.writelines(difflib.unified_diff(before, fresh, label, f"b/{name}"))
    lists = {"would change": changed, "would be new": added}
    told = [f"{len(names)} {what}: {', '.join(names)}" for what, names in lists.items() if names]
    hint = "`isnet new --upgrade | git apply` in the project takes all of it over"
    told = [*told, hint] if told else ["The workflow is that of this version of isnet"]
    print("\n".join(told), file=sys.stderr)


def _lines(file: Path) -> list[str]:
    with file.open(errors="replace", newline="\n") as text:
        lines = text.readlines()
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n\\ No newline at end of file\n"
    return lines
