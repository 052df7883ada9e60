"""An error of a data loader's worker is the line that it is without workers."""

from __future__ import annotations

from pathlib import Path

import pytest
from torch.utils.data import DataLoader, Dataset

from isnet.errors import UserError
from isnet.images.image_file import read_image
from isnet.io.loader_errors import errors_of_workers


class _Images(Dataset[int]):
    def __init__(self, error: Exception | None) -> None:
        self.error = error

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> int:
        if self.error:
            raise self.error
        return len(read_image(Path("none.png")))


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("error", [None, UserError("none.png: cannot be read: No such file")])
def test_a_user_error_is_one_line(workers: int, error: Exception | None) -> None:
    with pytest.raises(UserError, match=r"\Anone\.png: cannot be read: No such file"):
        with errors_of_workers():
            next(iter(DataLoader(_Images(error), num_workers=workers)))


def test_another_error_keeps_its_traceback() -> None:
    with pytest.raises(ValueError, match="Original Traceback"), errors_of_workers():
        next(iter(DataLoader(_Images(ValueError("x")), num_workers=1)))
