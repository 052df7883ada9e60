"""The mmseg data set that reads a `manifest.json`, and a sampler that seeds each sample."""

import hashlib
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dataset import InfiniteSampler
from mmseg.datasets import BaseSegDataset
from mmseg.registry import DATA_SAMPLERS, DATASETS

from isnet.data.packed.packed_store import PackedStore
from isnet.errors import UserError
from isnet.images.pixel_format import PLAIN, PixelFormat

SeededIndex = tuple[int, int, int]
"""Index of an image, number of the draw over all ranks, and seed of the run."""


def seed_from(*numbers: int) -> int:
    """Derive a 32-bit seed from integers by a hash."""
    text = ",".join(map(str, numbers)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=4).digest(), "little")


# ExactSampler is the former name, an alias until 0.2.
@DATA_SAMPLERS.register_module(name=["SeededInfiniteSampler", "ExactSampler"])
class SeededInfiniteSampler(InfiniteSampler):
    """mmengine's InfiniteSampler with a `SeededIndex` for each sample, in place of an index.

    The augmentation of a sample then depends only on the number of its draw, not on the worker
    process or on earlier draws. A resumed run therefore gets the same samples as an uninterrupted
    one.
    """

    def _indices_of_rank(self) -> Iterator[SeededIndex]:
        for step, index in enumerate(super()._indices_of_rank()):
            yield index, step * self.world_size + self.rank, self.seed


@DATASETS.register_module()
class ManifestDataset(BaseSegDataset):
    """An mmseg data set with the images and train-id labels of one split of a `manifest.json`.

    Args:
        manifest: path of the manifest.
        data_root: the data root, to which the manifest's folders are relative.
        split: `train` or `val`.
        pipeline: mmseg transforms. Labels are train ids, so `reduce_zero_label` does not apply.
        store: folder of the packed store under the data root, which `LoadRandomCrop` reads.
        test_mode: whether the data set is used for evaluation.

    Raises:
        UserError: the manifest, images or labels are missing, or the store is unusable.
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
        content = _read(Path(manifest))
        root = Path(data_root)
        self._store = PackedStore(root / store, split, content["digest"]) if store else None
        self._images = _require_folder(root / content["image_root"], manifest)
        self._labels = _require_folder(root / content["label_root"], manifest)
        self._entries: list[dict[str, Any]] = content["splits"][split]
        self.pixel_format = PixelFormat.of(content)
        super().__init__(
            metainfo={
                "classes": tuple(content["classes"]),
                "palette": content["palette"],
                "flip_pairs": tuple(map(tuple, content["flip_pairs"])),
            },
            ignore_index=content["ignore_index"],
            pipeline=[_read_as_converted(step, self.pixel_format, manifest) for step in pipeline],
            test_mode=test_mode,
        )
        names = [entry["image"] for entry in self._entries]
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
            for entry in self._entries
        ]

    def get_data_info(self, idx: int) -> dict[str, Any]:
        """Return the data of an image, as mmseg's transforms take it.

        It includes the `pixel_format` of the data set and, if there is a packed store, the
        `PackedSample` of the image as `packed`.
        """
        info: dict[str, Any] = super().get_data_info(idx)
        info["pixel_format"] = self.pixel_format
        return info | {"packed": self._store[idx]} if self._store else info

    def __getitem__(self, index: int | SeededIndex) -> Any:
        """Load and transform a sample. A `SeededIndex` first seeds all random generators."""
        if isinstance(index, tuple):
            index, draw, seed = index
            mixed = seed_from(seed, draw)
            random.seed(mixed)
            np.random.seed(mixed)
            torch.manual_seed(mixed)
        return super().__getitem__(index)


def _read(manifest: Path) -> dict[str, Any]:
    if not manifest.is_file():
        command = f"`isnet convert --dataset {manifest.parent.name}`"
        hint = f"Run {command} first, and this from the folder of params.yaml"
        raise UserError(f"there is no {manifest} in {Path.cwd()}", hint=hint)
    content: dict[str, Any] = json.loads(manifest.read_text())
    return content


def _read_as_converted(
    step: dict[str, Any], pixel_format: PixelFormat, manifest: str
) -> dict[str, Any]:
    """Return `LoadImage` and `LoadTrainIds` for mmseg's readers, unless these have arguments.

    Raises UserError if it has arguments and images have bands or more than 8 bits.
    """
    if step["type"] == "LoadAnnotations" and step.keys() <= {"type", "reduce_zero_label"}:
        return {"type": "LoadTrainIds"}
    if step["type"] != "LoadImageFromFile":
        return step
    if len(step) == 1:
        return {"type": "LoadImage"}
    if pixel_format != PLAIN:
        what = "LoadImageFromFile with arguments reads no images of more than 8 bits or of bands"
        raise UserError(what, where=manifest, hint="Leave its arguments out in the pipeline")
    return step


def _require_folder(folder: Path, manifest: str) -> Path:
    if not folder.is_dir():
        hint = "Set `data_root` of the data set to the data root (`paths.data`)"
        raise UserError(f"its folder {folder} is missing", where=manifest, hint=hint)
    return folder
