from pathlib import Path

import pytest
from made_once import made_once
from PIL import Image
from small_weights import write_small_weights

from isnet.tracking.mlflow.model_folder import model_folder


@pytest.fixture(scope="session")
def served_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's ISNet, untrained, as MLflow keeps models."""
    return made_once(tmp_path_factory, "served", _make) / "model"


def _make(work: Path) -> None:
    weights = write_small_weights(work / "weights.pth")
    example = work / "street.jpg"
    Image.effect_noise((128, 64), 90).convert("RGB").save(example)
    with model_folder(weights, example, work, "m-1", "run-1") as made:
        made.rename(work / "model")
