"""Ranks of a run on this machine: rendezvous, share of the cores, one report of a failure."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from process_tree import Tree, wait_for

from isnet.distributed.launcher import launch
from isnet.distributed.node import Node
from isnet.distributed.stop_signals import INTERRUPTED, StopRequest
from isnet.settings.params import Devices

Edit = Callable[[str, str], None]
Start = Callable[..., Tree]
FAILING = """
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

@HOOKS.register_module()
class FailingHook(Hook):
    def before_train_iter(self, runner, batch_idx, data_batch=None):
        raise RuntimeError("this hook fails")
"""
TRAIN = ("isnet", "train", "--run", "one")


@pytest.fixture
def start(prepared: Path, edit: Edit) -> Iterator[Start]:
    """Starts trainings of run `one` in two processes; kills what is left of them."""
    trees: list[Tree] = []
    edit("devices: cpu", "devices: cpu:2")

    def begin(*command: str, forked: bool = False, **environment: str) -> Tree:
        told = prepared / f"told-{len(trees)}.txt"
        command = command or TRAIN[forked:]
        trees.append(Tree(*command, told=told, forked=forked, **environment))
        return trees[-1]

    yield begin
    for tree in trees:
        tree.kill()


def test_a_rank_that_does_not_start_is_named(start: Start) -> None:
    tree = start(ISNET_START_TIMEOUT="1")
    os.kill(tree.rank(1), signal.SIGSTOP)
    assert tree.end() == 2
    assert "rank 1 did not start within 1 s" in tree.told
    assert "Traceback" not in tree.told


@pytest.mark.soak
def test_rank_0_that_does_not_start_is_named(start: Start) -> None:
    tree = start(ISNET_START_TIMEOUT="1")
    os.kill(tree.rank(0), signal.SIGSTOP)
    assert tree.end() == 2
    assert "rank 0 did not start within 1 s" in tree.told
    assert "Traceback" not in tree.told


def test_a_failure_of_all_ranks_is_printed_once(start: Start, edit: Edit) -> None:
    config = "isnet/configs/isnet_res18-half_1xb2-1300_streets-128x256.py"
    Path("configs").mkdir()
    Path("configs/failing.py").write_text(
        f'_base_ = "../{config}"\n'
        'custom_imports = dict(imports=["isnet.mmseg_components", "failing_parts"])\n'
        'custom_hooks = [dict(type="FailingHook")]\n'
    )
    Path("configs/failing_parts.py").write_text(FAILING)
    edit(config, "configs/failing.py")
    tree = start(forked=True)
    assert tree.end() == 1, tree.told
    assert tree.told.count("Traceback (most recent call last)") == 1
    assert tree.told.count(" failed\n") == 1


def test_images_that_no_rank_can_read_are_one_line(start: Start) -> None:
    for image in Path("data").rglob("*.png"):
        image.write_bytes(b"")
    tree = start(forked=True)
    assert tree.end() == 2, tree.told
    assert "Traceback" not in tree.told
    assert tree.told.count(".png: cannot be read: empty. Replace the damaged file") == 1, tree.told


def test_another_number_of_ranks_than_devices_is_refused(start: Start) -> None:
    own = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "3"}
    tree = start(forked=True, **own, MASTER_ADDR="127.0.0.1", MASTER_PORT="1")
    assert tree.end() == 2
    assert "devices: cpu:2 means 2 processes, but 3 were started" in tree.told
    assert "Traceback" not in tree.told


def test_ranks_of_torchrun_save_on_a_stop_signal(start: Start, edit: Edit) -> None:
    edit("max_iters: 6, val_interval: 3", "max_iters: 99, val_interval: 99")
    command = ("torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "--", *TRAIN)
    tree = start(*command)
    journals = Path("work")
    wait_for(lambda: any(file.read_text() for file in journals.rglob("journal.jsonl")), "a step")
    tree.send(signal.SIGTERM, "process")
    assert tree.end() != 0  # torchrun has codes of its own
    assert tree.told.count("stopped at iteration") == 1, tree.told
    assert len(list(Path("work").rglob("iteration-*.pth"))) == 1


@pytest.mark.soak
def test_two_runs_at_once_use_different_ports(start: Start, edit: Edit) -> None:
    edit("max_iters: 6, val_interval: 3", "max_iters: 1, val_interval: 1")
    text = Path("params.yaml").read_text()
    Path("params.yaml").write_text(
        text.replace("devices: cpu\n", "devices: cpu:2\n").replace(
            "max_iters: 6, val_interval: 3", "max_iters: 1, val_interval: 1"
        )
    )
    trees = [start("isnet", "train", "--run", name) for name in ("one", "two")]
    assert [tree.end(120) for tree in trees] == [0, 0], [tree.told for tree in trees]


@pytest.mark.parametrize(
    ("given", "each"), [(None, max(1, len(os.sched_getaffinity(0)) // 2)), ("5", 2), ("1", 1)]
)
def test_ranks_share_the_cores_of_the_stage(
    given: str | None,
    each: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    package = tmp_path / "isnet"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(
        "import os; os.write(1, os.environ['OMP_NUM_THREADS'].encode() + bytes([10]))"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if given:
        monkeypatch.setenv("OMP_NUM_THREADS", given)
    assert launch([], Devices(kind="cpu", per_node=2), Node(), tmp_path, StopRequest()) == 0
    assert capfd.readouterr().out.split() == [str(each)] * 2


def test_several_machines_need_a_process_on_each(
    start: Start, edit: Edit, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit("devices: cpu:2", "devices: 2xcpu")
    tree = start(forked=True)
    assert tree.end() == 2
    assert "2xcpu spans 2 machines with one process each. Use `snakemake" in tree.told


def test_launchers_of_two_nodes_train_together(start: Start, edit: Edit) -> None:
    """As srun starts them: here both on this machine. tests/slurm compares the weights."""
    edit("devices: cpu:2", "devices: 2xcpu")
    step = {
        "SLURM_PROCID": "",
        "SLURM_STEP_NUM_NODES": "2",
        "SLURM_STEP_NUM_TASKS": "2",
        "SLURM_LAUNCH_NODE_IPADDR": "127.0.0.1",
        "OMP_NUM_THREADS": "1",
    }
    trees = [start(forked=True, **step, SLURM_NODEID=str(node)) for node in range(2)]
    assert [tree.end(120) for tree in trees] == [0, 0], [tree.told for tree in trees]
    assert sum("finished in" in tree.told for tree in trees) == 1
    assert Path("results/runs/one/train/weights.pth").is_file()
    assert not list(Path("work").rglob("rendezvous-*"))


def test_a_stopped_launch_is_resumable(start: Start) -> None:
    tree = start(ISNET_START_TIMEOUT="60")
    os.kill(tree.rank(0), signal.SIGSTOP)
    tree.send(signal.SIGTERM, "rank 1")
    assert tree.end() == INTERRUPTED, tree.told
