"""The mmseg data set of a converted manifest; every sample's augmentation follows from its draw
alone.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmseg.datasets import BaseSegDataset
from mmseg.registry import DATASETS

from isnet.data.loading.sample_reader import StoredSample
from isnet.data.loading.sampler import Draw, seed_from
from isnet.data.packed.packed_store import Store
from isnet.errors import UserError

__all__ = ["ManifestDataset"]


@DATASETS.register_module()
class ManifestDataset(BaseSegDataset):
    """Images and train-id labels of one split of a `manifest.json`.

    Args:
        manifest: path of the manifest.
        data_root: the data root its folders are relative to.
        split: `train` or `val`.
        pipeline: mmseg transforms; labels are train ids already, so nothing is to be reduced.
        store: folder of the packed images, under the data root; `RandomWindow` reads from there.

    Raises:
        UserError: there is no such manifest, its images or labels are not under the data root, or
        the store is not of this manifest.
    """

    def __init__(
        self,
        manifest: str,
        data_root: str,
        split: str,
        pipeline: list[dict[str, Any]],
        store: str | None = None,
        test_mode: bool = False,
    ) -> None:
        self._manifest = _read(Path(manifest))
        self._store = (
            Store(Path(data_root) / store, split, self._manifest["digest"]) if store else None
        )
        self._split = split
        self._images, self._labels = (
            _folder(Path(data_root) / self._manifest[root], manifest)
            for root in ("image_root", "label_root")
        )
        super().__init__(
            metainfo={
                "classes": tuple(self._manifest["classes"]),
                "palette": self._manifest["palette"],
                "flip_pairs": tuple(map(tuple, self._manifest["flip_pairs"])),
            },
            ignore_index=self._manifest["ignore_index"],
            pipeline=pipeline,
            test_mode=test_mode,
        )
        names = [entry["image"] for entry in self._manifest["splits"][split]]
        cityscapes = all(name.endswith("_leftImg8bit.png") for name in names)
        self.img_suffix = "_leftImg8bit.png" if cityscapes else Path(names[0]).suffix

    def load_data_list(self) -> list[dict[str, Any]]:
        """Return one record per image, in the manifest's order."""
        return [
            {
                "img_path": str(self._images / entry["image"]),
                "seg_map_path": str(self._labels / entry["label"]),
                "label_map": None,
                "reduce_zero_label": False,
                "seg_fields": [],
                "flip_pairs": self._metainfo["flip_pairs"],
            }
            for entry in self._manifest["splits"][self._split]
        ]

    def get_data_info(self, idx: int) -> dict[str, Any]:
        """Return the record of an image; with its place in the store, if there is one."""
        info: dict[str, Any] = super().get_data_info(idx)
        return info | {"stored": StoredSample(self._store, idx)} if self._store else info

    def __getitem__(self, draw: int | Draw) -> Any:
        """Return the transformed sample of an index, or of a draw of `ExactSampler`."""
        if isinstance(draw, tuple):
            index, number, seed = draw
            mixed = seed_from(seed, number)
            random.seed(mixed)
            np.random.seed(mixed)
            torch.manual_seed(mixed)
            return super().__getitem__(index)
        return super().__getitem__(draw)


def _read(manifest: Path) -> dict[str, Any]:
    if not manifest.is_file():
        raise UserError(
            f"there is no {manifest} in {Path.cwd()}",
            hint=f"Run `isnet convert --dataset {manifest.parent.name}` first, and this from the "
            "folder of params.yaml",
        )
    found: dict[str, Any] = json.loads(manifest.read_text())
    return found


def _folder(folder: Path, manifest: str) -> Path:
    if not folder.is_dir():
        raise UserError(
            f"its folder {folder} is missing",
            where=manifest,
            hint="Name the data root (`paths.data`) as the data set's `data_root`",
        )
    return folder
