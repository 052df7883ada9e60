from pathlib import Path
import json, pytest, torch
from isnet.cli import main


def test_smoke(prepared, weights, capfd, edit, monkeypatch):
    from isnet.inference import inference_cost as speed

    monkeypatch.setattr(speed, "_MAX_ROUNDS", 3)
    params = Path("params.yaml")
    head = params.read_text().partition("  one:")[0]
    params.write_text(
        head
        + f"  given:\n    dataset: streets\n    config: isnet/configs/isnet_res18-half_1xb2-800_streets-128x256.py\n    weights: {weights}\n    overrides:\n      evaluation: {{multi_scale: {{scales: [0.5, 1.0]}}}}\n"
    )
    assert main(["check"]) == 0
    assert main(["train", "--run", "given"]) == 0
    assert main(["status"]) == 0
    assert main(["evaluate", "--run", "given"]) == 0
    assert main(["status"]) == 0
    assert main(["report"]) == 0
    assert main(["results"]) == 0
    print(Path("results/runs/given/train/train.json").read_text())
    print(Path("results/runs/given/train/model_card.md").read_text())
    print(Path("results/runs/given/train/config.py").read_text())
    assert main(["evaluate", str(weights), "--dataset", "streets"]) == 0
    assert (
        main(
            [
                "evaluate",
                str(weights),
                "--dataset",
                "streets",
                "--config",
                "isnet/configs/isnet_res18-half_1xb2-800_streets-128x256.py",
            ]
        )
        == 0
    )
    out = capfd.readouterr()
    Path("/tmp/smoke.out").write_text(out.out + "=====\n" + out.err)
    Path("/tmp/smoke.html").write_text(Path("reports/runs/given.html").read_text())
    Path("/tmp/smoke.md").write_text(Path("reports/results.md").read_text())
