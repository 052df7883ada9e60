"""The sampler that tells each sample which draw it is."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from mmengine.dataset import InfiniteSampler
from mmseg.registry import DATA_SAMPLERS

__all__ = ["Draw", "ExactSampler", "seed_from"]

Draw = tuple[int, int, int]
"""Index of the image, number of the draw over all ranks, seed of the run."""


def seed_from(*numbers: int) -> int:
    """Mix integers into a 32-bit seed."""
    text = ",".join(map(str, numbers)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=4).digest(), "little")


@DATA_SAMPLERS.register_module()
class ExactSampler(InfiniteSampler):
    """mmengine's infinite sampler that also tells each sample which draw it is.

    With it, augmentation does not depend on the worker that does it, nor on what was drawn before:
    a resumed run sees what an uninterrupted one sees.
    """

    def _indices_of_rank(self) -> Iterator[Draw]:
        for step, index in enumerate(super()._indices_of_rank()):
            yield index, step * self.world_size + self.rank, self.seed
