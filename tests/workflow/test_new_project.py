"""`isnet new` lays out a project in which both workflow engines run, and shows what changed since."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from programs import call
from repository import REPOSITORY

from isnet.cli import main
from isnet.errors import UserError
from isnet.settings.config_file import load_config, read_config
from isnet.settings.project_files import USER_FILES, WORKFLOW_FILES, find_files, project_files

DEMO = "isnet/configs/isnet_res18-half_1xb2-1300_streets-128x256.py"


def _content(folder: Path) -> dict[str, bytes]:
    files = [file for file in folder.rglob("*") if file.is_file()]
    names = {file.relative_to(folder).as_posix(): file for file in files}
    return {name: file.read_bytes() for name, file in names.items() if name[:5] != ".git/"}


@pytest.fixture(autouse=True)
def plain_git(monkeypatch: pytest.MonkeyPatch) -> None:
    """No settings of the user's git."""
    for name in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"):
        monkeypatch.setenv(name, os.devnull)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A new project in a path with blanks, as the current directory."""
    folder = tmp_path / "my work" / "a project"
    assert main(["new", str(folder)]) == 0
    monkeypatch.chdir(folder)
    return folder


def test_a_new_project_has_the_files_of_the_repository(project: Path) -> None:
    names = list(project_files(*USER_FILES, *WORKFLOW_FILES))
    assert _content(project) == {name: (REPOSITORY / name).read_bytes() for name in names}
    assert {"params.yaml", "Snakefile", "dvc.yaml", ".gitignore", ".dvc/config"} <= set(names)
    assert {"profiles/slurm/profile.yaml", "configs/README.md", "datasets/example.yaml"} <= set(
        names
    )


def test_its_workflow_files_import_names_that_stay(project: Path) -> None:
    rules = "\n".join(
        file.read_text() for file in [Path("Snakefile"), *Path("workflow").rglob("*.smk")]
    )
    assert set(re.findall(r"^\s*(?:from|import) (isnet[\w.]*)", rules, re.MULTILINE)) == {
        "isnet.workflow"
    }


def test_the_links_of_its_pages_lead_to_its_files(project: Path) -> None:
    for page in Path("docs").rglob("*.md"):
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / link).exists(), f"{page}: {link}"


def test_files_that_users_add_are_in_no_new_project(project: Path) -> None:
    laid_out = find_files(project, *USER_FILES, *WORKFLOW_FILES)
    for name in ("profiles/own/profile.yaml", "configs/own.py", "datasets/own.yaml"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).touch()
    assert find_files(project, *USER_FILES, *WORKFLOW_FILES) == laid_out


@pytest.mark.engines
def test_both_workflow_engines_work_in_a_new_project(project: Path) -> None:
    planned = call("snakemake", "-n")
    assert {"isnet train --run streets_isnet", "isnet report"} <= {
        line.partition("Shell command: ")[2] for line in planned.splitlines()
    }
    assert "isnet check" in call("dvc", "repro", "check")
    assert "train@streets_fcn" in call("dvc", "status")


def test_what_a_folder_has_is_never_overwritten(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "params.yaml"
    file.write_text("mine")
    assert main(["new", str(tmp_path)]) == 2
    assert main(["new", str(file)]) == 2
    assert main(["new", str(tmp_path / "a{b}")]) == 2
    assert main(["new"]) == 2
    assert _content(tmp_path) == {"params.yaml": b"mine"}
    told = capsys.readouterr().err.splitlines()
    parts = ("is not empty", "is a file", "has the character '{'", "Type `isnet new FOLDER`")
    assert [part in line for part, line in zip(parts, told, strict=True)] == [True] * 4


def test_a_project_that_cannot_be_written_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = shutil.copyfile

    def copy_some(source: Path, target: Path) -> None:
        if target.name == "dvc.yaml":
            raise OSError(28, "No space left on device")
        copy(source, target)

    monkeypatch.setattr(shutil, "copyfile", copy_some)
    assert main(["new", str(tmp_path / "project")]) == 2
    assert "project: cannot be written: No space left on device" in capsys.readouterr().err
    assert not any((tmp_path / "project").iterdir())


def test_a_project_inside_a_git_repository_stays_a_part_of_it(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    assert main(["new", str(tmp_path / "part")]) == 0
    assert not (tmp_path / "part/.git").exists()


@pytest.mark.parametrize("ignored", ["*", "/part/", "dvc.yaml"])
def test_a_repository_that_ignores_the_project_is_not_its_own(ignored: str, tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / ".gitignore").write_text(f"{ignored}\n")
    assert main(["new", str(tmp_path / "part")]) == 0
    assert (tmp_path / "part/.git").is_dir()


def test_a_repository_that_the_environment_names_is_not_that_of_the_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path / "other")], check=True)
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other/.git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path))
    assert main(["new", str(tmp_path / "project")]) == 0
    assert (tmp_path / "project/.git").is_dir()


def test_an_empty_git_repository_becomes_a_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)

    def fail(source: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copyfile", fail)
        assert main(["new", str(tmp_path)]) == 2
    assert [each.name for each in tmp_path.iterdir()] == [".git"]
    assert main(["new", str(tmp_path)]) == 0
    assert (tmp_path / "dvc.yaml").is_file()


def test_what_cannot_be_read_is_one_line(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["new", "a" * 300]) == 2
    assert main(["new", "--upgrade", "a" * 300]) == 2
    Path("Snakefile").unlink()
    Path("Snakefile").symlink_to("/proc/self/mem")
    assert main(["new", "--upgrade"]) == 2
    out, told = capsys.readouterr()
    assert out == "" and told.count("\n") == told.count("cannot be read: ") == 3


def test_an_upgrade_takes_bytes_that_are_no_text(project: Path) -> None:
    fresh = Path("Snakefile").read_bytes()
    Path("Snakefile").write_bytes(fresh.replace(b"all", b"caf\xe9", 1))
    command = [sys.executable, "-m", "isnet", "new", "--upgrade"]
    diff = subprocess.run(command, capture_output=True, check=True).stdout
    subprocess.run(["git", "apply"], input=diff, check=True)
    assert Path("Snakefile").read_bytes() == fresh


def test_an_upgrade_is_a_diff_that_git_applies(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    current = _content(project)
    assert main(["new", "--upgrade"]) == 0
    assert capsys.readouterr().out == ""
    for name, line in (
        ("Snakefile", "all,"),
        ("dvc.yaml", "cmd: isnet check"),
        ("params.yaml", "0"),
    ):
        text = Path(name).read_text()
        Path(name).write_text(text.replace(line, "other", 1).rstrip())
    Path("workflow/rules/data.smk").unlink()
    Path("workflow/rules/own.smk").touch()
    before = _content(project)
    assert main(["new", "--upgrade"]) == 0
    diff, told = capsys.readouterr()
    assert _content(project) == before
    assert "2 would change: Snakefile, dvc.yaml\n1 would be new: workflow/rules/data.smk\n" in told
    subprocess.run(["git", "apply"], input=diff, text=True, check=True)
    edited = {name: before[name] for name in ("params.yaml", "workflow/rules/own.smk")}
    assert _content(project) == current | edited


def test_an_upgrade_needs_a_project(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["new", "--upgrade", str(tmp_path)]) == 2
    assert "there is no project. Name its folder" in capsys.readouterr().err


def test_the_configs_of_the_package_are_found_from_a_project(project: Path) -> None:
    shipped = load_config(DEMO, "test")
    Path("configs/own.py").write_text(f'_base_ = "../{DEMO}"\nmethod = "own"\n')
    assert load_config("configs/own.py", "test") == shipped | {"method": "own"}
    elsewhere = project / "configs"
    with contextlib.chdir(elsewhere):
        own = read_config(elsewhere / "own.py", "test")
    assert own == shipped | {"method": "own"}
    with pytest.raises(UserError, match=f"Did you mean {DEMO}"):
        load_config(DEMO.replace("1300", "1301"), "test")
    nearer = Path(DEMO)
    nearer.parent.mkdir(parents=True)
    nearer.write_text('method = "own"\n')
    assert load_config(DEMO, "test") == {"method": "own"}
