"""Without the packages of the extras isnet works, and names the extra that brings what is missing."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from pretended_run import pretend_finished
from repository import REPOSITORY

from isnet.cli import main
from isnet.cli.commands import doctor
from isnet.extras import EXTRAS, install_command

PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]


def _names(requirements: list[str]) -> list[str]:
    return [re.match(r"[\w-]+", line)[0] for line in requirements]  # type: ignore[index]


def test_messages_name_the_extras_of_the_package() -> None:
    declared = {extra: _names(lines) for extra, lines in PROJECT["optional-dependencies"].items()}
    assert PROJECT["optional-dependencies"].pop("all") == [f"isnet[{','.join(sorted(EXTRAS))}]"]
    del declared["all"]
    own = {
        extra: tuple(each for each in names if each != "isnet") for extra, names in declared.items()
    }
    assert {extra: set(names) for extra, names in own.items()} == {
        extra: set(names) for extra, names in EXTRAS.items()
    }
    optional = {name for names in EXTRAS.values() for name in names}
    assert not optional & set(_names(PROJECT["dependencies"]))


@pytest.mark.parametrize(
    ("opencv", "command"),
    [
        (("opencv-python-headless",), "`pip install dvc snakemake`"),
        (("opencv-python", "opencv-python-headless"), '`pip install "isnet[pipeline]"`'),
        ((), '`pip install "isnet[pipeline]"`'),
    ],
)
def test_what_to_install_never_puts_another_opencv_over_the_headless_one(
    opencv: tuple[str, ...], command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in opencv:
        facts = tmp_path / f"{name.replace('-', '_')}-5.0.dist-info/METADATA"
        facts.parent.mkdir()
        facts.write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 5.0\n")
    monkeypatch.setattr("sys.path", [str(tmp_path)])
    assert install_command("dvc") == command
    assert install_command("lion") == "`pip install lion`"


@pytest.fixture
def bare(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with two finished runs, where no package of an extra is installed."""
    for run in ("one", "two"):
        pretend_finished(checkout, run, 0.5, weights="")
    monkeypatch.setattr("isnet.extras.find_spec", lambda name: None)
    return checkout


def test_without_mlflow_tracking_is_refused_with_its_extra(
    bare: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["track", "sync"]) == 2
    line = f"isnet: mlflow is not installed. Run {install_command('mlflow')}\n"
    assert capsys.readouterr().err == line
    assert not Path("mlflow.db").exists()
    assert main(["results"]) == 0
    assert "mlflow ui" not in capsys.readouterr().out


def test_the_doctor_names_the_extras_of_packages_that_are_missing(
    bare: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = dict.fromkeys(("torch", "opencv-python"), "1.0") | dict.fromkeys(("dvc", "mlflow"))
    monkeypatch.setattr(doctor, "installed_versions", lambda: found)
    monkeypatch.setattr("shutil.which", lambda name: name if name in ("isnet", "git") else None)
    checks = {check.what: check for check in doctor.run_checks()}
    assert checks["dvc"].value == f"not installed: {install_command('dvc')} brings it"
    assert not [name for name in ("dvc", "mlflow", "programs") if checks[name].hint]
    found["torch"] = None
    assert main(["doctor"]) == 1
    shown = " ".join(capsys.readouterr().out.split())
    assert "hint: Run `pip install torch`" in shown
    assert f"not installed: {install_command('mlflow')}" in shown
