"""Data loader workers leave no files in the temporary folder."""

from __future__ import annotations

import multiprocessing
import tempfile
from pathlib import Path

import pytest
import torch
from forked_commands import ForkedCommand, code_of_call
from torch.utils.data import DataLoader, TensorDataset

from isnet.distributed.rank import exit_now
from isnet.training.loader_workers import ignore_signals, share_temporary_folder


def _load(folder: str, is_stopped: bool) -> None:
    tempfile.tempdir = folder
    share_temporary_folder()
    data = TensorDataset(torch.zeros(64, 3))
    loader = DataLoader(data, num_workers=2, worker_init_fn=ignore_signals)
    for _ in loader:
        assert list(Path(folder).rglob("listener-*"))
        if is_stopped:
            exit_now(75, "stopped")


@pytest.mark.parametrize("is_stopped", [False, True])
def test_neither_a_finished_nor_a_stopped_process_leaves_sockets(
    is_stopped: bool, tmp_path: Path
) -> None:
    folder, told = tmp_path / "t", tmp_path / "told.txt"
    folder.mkdir()
    command = ForkedCommand(code=code_of_call(_load, str(folder), is_stopped), told=told)
    assert command.wait() == (75 if is_stopped else 0), command.told
    assert not list(folder.iterdir())


def test_workers_of_a_rank_have_their_sockets_in_the_launcher_s_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ISNET_REPORTS", str(tmp_path))
    monkeypatch.setitem(multiprocessing.current_process()._config, "tempdir", None)
    before = tempfile.tempdir
    share_temporary_folder()
    assert list(tmp_path.glob("pymp-*"))
    assert tempfile.tempdir == before
