"""docs/how-to/fine-tune.md, executed: official weights of 19 classes, a few pictures of three."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from given_weights import official_file
from PIL import Image
from repository import REPOSITORY
from small_weights import PAPER_CONFIG, write_paper_config

from isnet.cli import main
from isnet.inference import inference_cost
from isnet.io.atomic_files import sha256_of

PAGE = (REPOSITORY / "docs/how-to/fine-tune.md").read_text()
FILE = "weights/isnet_resnet50os8_cityscapes.pth"
SHORTER = "train_cfg: {max_iters: 2, val_interval: 2}\n      param_scheduler: [{type: PolyLR, begin: 0, by_epoch: false}]"


def _draw(folder: Path, pictures: int = 8) -> None:
    """Draw pictures of three colours and their masks."""
    rng = np.random.default_rng(0)
    for name in ("photos", "masks"):
        (folder / name).mkdir(parents=True)
    colours = np.array([(40, 90, 40), (200, 120, 30), (90, 60, 200)], np.uint8)
    for number in range(pictures):
        ids = np.repeat(np.repeat(rng.integers(0, 3, (4, 8), np.uint8), 32, 0), 32, 1)
        Image.fromarray(colours[ids]).save(folder / f"photos/{number}.png")
        Image.fromarray(ids).save(folder / f"masks/{number}.png")


def test_the_page_trains_on_other_classes_and_says_what_did_not_fit(
    checkout: Path,
    weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(inference_cost, "_MAX_ROUNDS", 3)
    _draw(tmp_path / "pets")
    official_file(weights, checkout / FILE)
    write_paper_config(checkout)
    files = dict(re.findall(r'```yaml title="([\w./]+)"\n(.*?)```', PAGE, re.DOTALL))
    Path("datasets/pets.yaml").write_text(files["datasets/pets.yaml"])
    params = files["params.yaml"].replace("/home/me/pets", str(tmp_path / "pets"))
    params = re.sub(r"isnet/configs/\S+\.py", str(PAPER_CONFIG), params)
    Path("params.yaml").write_text(
        params.replace("train_cfg: {max_iters: 4000, val_interval: 400}", SHORTER)
    )
    (commands,) = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    for line in commands.splitlines():
        assert main(line.split()[1:]) == 0

    told = capfd.readouterr().err
    line = re.search(rf"starts from {FILE}: (\d+) of (\d+) tensors; made anew: (.*)", told)
    assert line and 0 < int(line[2]) - int(line[1]) < 10
    assert line[3].endswith(" and 1 more")  # the classifier of the auxiliary head
    assert "decode_head.decoder_stage1.2.weight (3x128x1x1, in the file 19x128x1x1)" in line[3]
    assert "backbone" not in line[3] and "not in the model" not in line[3]
    record = json.loads(Path("results/runs/pets/train/train.json").read_text())
    assert record["init_from"]["sha256"] == sha256_of(Path(FILE))
    rows = Path("results/runs/pets/evaluate/per_class.csv").read_text().splitlines()
    assert [row.partition(",")[0] for row in rows] == ["class", "background", "cat", "dog"]
