"""Infinite sampler that seeds every sample by itself."""

import hashlib
from collections.abc import Iterator

from mmengine.dataset import InfiniteSampler
from mmseg.registry import DATA_SAMPLERS

SeededIndex = tuple[int, int, int]
"""Index of the image, number of the draw over all ranks, seed of the run."""


def seed_from(*numbers: int) -> int:
    """Hash integers to a 32-bit seed."""
    text = ",".join(map(str, numbers)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=4).digest(), "little")


# ExactSampler is the former name, an alias until 0.2.
@DATA_SAMPLERS.register_module(name=["SeededInfiniteSampler", "ExactSampler"])
class SeededInfiniteSampler(InfiniteSampler):
    """mmengine's InfiniteSampler that yields a `SeededIndex` instead of an index.

    The augmentation of a sample then depends only on its draw, not on the worker or on earlier
    draws: a resumed run gets the same samples as an uninterrupted one.
    """

    def _indices_of_rank(self) -> Iterator[SeededIndex]:
        for step, index in enumerate(super()._indices_of_rank()):
            yield index, step * self.world_size + self.rank, self.seed
