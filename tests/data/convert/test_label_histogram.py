"""Label ids are counted in blocks, without a copy of the label in 64 bits."""

from __future__ import annotations

import numpy as np
import pytest

from isnet.data.convert import label_lookup
from isnet.data.convert.label_lookup import histogram


@pytest.mark.parametrize("kind", ["u1", "u2"])
@pytest.mark.parametrize("most", [1, 100, 10**6], ids=["rows", "blocks", "whole"])
def test_every_value_is_counted(kind: str, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_lookup, "_MOST_COUNTED", most)
    bins = np.iinfo(kind).max + 1
    ids = np.random.default_rng(0).integers(0, bins, (37, 41)).astype(kind)
    for part in (ids, ids[3:20, 5:9], ids[:0]):
        expected = np.bincount(part.ravel(), minlength=bins)
        np.testing.assert_array_equal(histogram(part), expected)
