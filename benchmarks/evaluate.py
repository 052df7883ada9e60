"""Evaluation: mmseg's path with the public head against ours, in one run and with the same weights.

The metric, and what comes after the network, at 1024x2048; then a whole image of that size scored
by ISNet R-50: read, predicted, counted. Windows and several scales at sizes for which the public
path has the memory. Last, in a process of its own, what the largest official view needs of a whole
1024x2048 image: views come one after the other, so it is the peak of all twelve. Scores are those
of regions with borders, as a trained network gives them; noise, where every place is a border, is
the worst case.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from evaluation_sides import SIX, SIZE, Case, Ours, Public, Side, compare, peak_of_a_process
from measure import best_device
from records import Record, arguments, publish

LIMIT = 6e9 / 2**30
"""GiB that the largest view may need: 6 GB."""
WHOLE = "whole image 1024x2048"


def picture(folder: Path, size: tuple[int, int]) -> Path:
    """Write a picture of blurred noise, as a PNG."""
    random = np.random.default_rng(0)
    small = random.integers(0, 255, (size[0] // 16, size[1] // 16, 3)).astype(np.uint8)
    path = folder / f"{size[0]}x{size[1]}.png"
    cv2.imwrite(str(path), cv2.resize(small, size[::-1], interpolation=cv2.INTER_CUBIC))
    return path


def cases(folder: Path) -> Iterator[tuple[int, Case, dict[str, Case]]]:
    """Yield how often to repeat, the public case, and ours by name."""
    after, noise = ("after_the_network", False), ("after_the_network", True)
    file, small = picture(folder, SIZE), picture(folder, (256, 512))
    slide = ("windows", (512, 1024), (256, 512), 171)
    yield 31, ("metric",), {"metric": ("metric",)}
    yield 9, after, {"after the network": after, "the same with confidence": ("with_confidence",)}
    yield 9, noise, {"after the network, noise": noise}
    yield 3, ("scales", small), {"six ratios and flip, 256x512": ("scales", small)}
    yield 3, slide, {"windows 256x512 over 512x1024": slide}
    ours = {WHOLE: ("image", file, "float32"), f"{WHOLE}, ours in bf16": ("image", file, "bf16")}
    yield 3, ("image", file), ours


def compared(folder: Path) -> Iterator[Record]:
    """Compare seconds and GiB of all cases."""
    public, ours = Side(Public), Side(Ours)
    for repeats, theirs, mine in cases(folder):
        asked = [(public, theirs), *((ours, case) for case in mine.values())]
        (seconds, added), *costs = compare(asked, repeats)
        for name, (my_seconds, my_added) in zip(mine, costs, strict=True):
            yield Record(name, "s", seconds, my_seconds, seconds / my_seconds)
            yield Record(name, "GiB", added, my_added, added / max(my_added, 1e-3))
    public.close()
    ours.close()


def memory() -> Iterator[Record]:
    """Compare with what one public attention map would take, computed."""
    positions = np.prod([int(side * SIX[-1]) // 8 for side in SIZE])
    of_a_map = float(positions) ** 2 * 4 / 2**30
    peak = peak_of_a_process(("largest_view",))
    case = "ms+flip, whole 1024x2048: one map (computed), all of our process"
    yield Record(case, "GiB", of_a_map, peak, of_a_map / peak)
    yield Record(f"{case}: limit", "GiB", LIMIT, peak, LIMIT / peak)


def main() -> None:
    """Measure all cases."""
    options = arguments(__doc__ or "")
    with tempfile.TemporaryDirectory() as folder:
        records = list(compared(Path(folder)))
    publish(f"Evaluation, {best_device().type}", [*records, *memory()], options.json)


if __name__ == "__main__":
    main()
