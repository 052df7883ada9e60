"""`isnet --version` and `isnet --print-completion`."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import isnet
from isnet.cli import main
from isnet.cli.command_table import COMMANDS
from isnet.cli.shell_completion import SHELLS
from isnet.extras import install_command


def _print(argument: str, capsys: pytest.CaptureFixture[str], *more: str) -> str:
    with pytest.raises(SystemExit) as end:
        main([argument, *more])
    assert end.value.code == 0
    return capsys.readouterr().out


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert _print("--version", capsys) == f"isnet {isnet.__version__}\n"


@pytest.mark.parametrize("shell", SHELLS)
def test_a_script_completes_all_commands(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    script = _print("--print-completion", capsys, shell)
    assert all(command.name.split()[0] in script for command in COMMANDS)


def test_bash_completes_commands_options_and_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if not shutil.which("bash"):
        pytest.skip("there is no bash")
    (tmp_path / "weights.pth").touch()
    script = tmp_path / "isnet.bash"
    script.write_text(_print("--print-completion", capsys, "bash"))

    def complete(*words: str) -> list[str]:
        line = " ".join(f"'{word}'" for word in words)
        program = (
            f"source {script}; COMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; "
            'f=$(complete -p isnet | grep -oE "_shtab_isnet\\b"); $f; '
            'printf "%s\\n" "${COMPREPLY[@]}"'
        )
        run = ["bash", "-c", program]
        return subprocess.run(
            run, cwd=tmp_path, check=True, capture_output=True, text=True
        ).stdout.split()

    assert complete("isnet", "pre") == ["predict"]
    assert complete("isnet", "train", "--r") == ["--run"]
    assert complete("isnet", "predict", "wei") == ["weights.pth"]


def test_without_shtab_the_line_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert main(["--print-completion", "bash"]) == 2
    assert install_command("shtab") in capsys.readouterr().err
