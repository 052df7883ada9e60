from pathlib import Path

import pytest
from small_segmentor import build_model, dataset, model
from small_weights import write_small_weights

__all__ = ["build_model", "dataset", "model"]


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A weights file of the demo's ISNet, untrained, as `isnet train` writes it."""
    return write_small_weights(tmp_path_factory.mktemp("weights") / "weights.pth")
