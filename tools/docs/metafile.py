"""Generates the metafile of the configs in OpenMMLab's form."""

import re
from pathlib import Path
from typing import Any

import yaml

from isnet.data.catalog import read_published

__all__ = ["METAFILE", "metafile"]

METAFILE = Path("isnet/configs/metafile.yml")
"""The file that `model-index.yml` imports."""
TABLES = Path("docs/reference/configs.md")
"""The page that has one row per config: its numbers are written there."""

ROOT = Path(__file__).parents[2]
ROW = r"^\| `(\S+)\.py` \| (.+?) \| (\d+)x(\d+) \| ([\d,]+) x (\d+) \| (\S+) \| (\S+) \|$"


def metafile() -> str:
    """Return a collection, and one model per row of the tables with the results of the authors."""
    rows = re.findall(ROW, (ROOT / TABLES).read_text(encoding="utf-8"), re.MULTILINE)
    models = [_model(*row) for row in rows]
    titles = dict.fromkeys(model["Metadata"]["Training Data"] for model in models)
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    paper = citation["preferred-citation"]
    collection = {
        "Name": "ISNet",
        "License": "Apache License 2.0",
        "Metadata": {"Training Data": list(titles)},
        "Paper": {"Title": paper["title"], "URL": paper["url"]},
        "README": f"../../{TABLES}",
        "Frameworks": ["PyTorch"],
    }
    written = {"Collections": [collection], "Models": models}
    head = f"# Made by `make reference` from {TABLES}. Results are those of the authors.\n"
    return head + yaml.safe_dump(written, sort_keys=False, width=100)


def _model(name: str, backbone: str, height: str, width: str, *numbers: str) -> dict[str, Any]:
    """Return the entry of one config."""
    iterations, batch, single, multi = numbers
    dataset = name.rpartition("_")[2].partition("-")[0]
    title = "streets (generated)" if dataset == "streets" else read_published(dataset).title
    model = {
        "Name": name,
        "In Collection": "ISNet",
        "Config": f"{METAFILE.parent}/{name}.py",
        "Metadata": {
            "Training Data": title,
            "Architecture": [backbone, name.partition("_")[0].upper().replace("ISNET", "ISNet")],
            "Batch Size": int(batch),
            "Iterations": int(iterations.replace(",", "")),
            "Crop Size": f"({height},{width})",
        },
    }
    if single == "-":
        return model
    scores = {"mIoU": float(single), "mIoU(ms+flip)": float(multi)}
    result = {"Task": "Semantic Segmentation", "Dataset": title, "Metrics": scores}
    return model | {"Results": [result]}
