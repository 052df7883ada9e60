"""Loading training crops of 512x1024 from images of 1024x2048: mmseg's pipeline and ours.

Same images (scenes of `isnet`'s generator as PNG), same random numbers, one core. Milliseconds are
of that core's time for one image: decoded, resized, cropped, mirrored, label and all, until it
leaves the worker. What our pipeline leaves to the device (colours, normalisation) is measured
beside what the stock one does there. Cold: nothing of the files in the system's cache.
"""

from __future__ import annotations

import math
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

import cv2
import numpy as np
import torch
from records import Record, arguments, publish
from torch.utils.data import DataLoader

from isnet.mmseg_import import import_mmseg
from isnet.settings.dataset_lookup import table_of
from isnet.settings.params import PublishedDataset

import_mmseg()

from mmengine.dataset import Compose, pseudo_collate  # noqa: E402
from mmengine.registry import init_default_scope  # noqa: E402
from mmseg.registry import MODELS  # noqa: E402

import isnet.mmseg_components  # noqa: E402, F401
from isnet.data.packed.packed_store import PackedStore  # noqa: E402
from isnet.data.packed.packing import pack_dataset  # noqa: E402
from isnet.data.streets import StreetsSettings, generate_streets  # noqa: E402

IMAGES = 12
HEIGHT, WIDTH = 1024, 2048
CROP = (512, 1024)
WANTED = 60
"""Images per second that a training needs."""
ROUNDS = 4

RESIZE = dict(scale=(WIDTH, HEIGHT), ratio_range=(0.5, 2.0), keep_ratio=True)
STOCK = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations"),
    dict(type="RandomResize", **RESIZE),
    dict(type="RandomCrop", crop_size=CROP, cat_max_ratio=0.75),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PhotoMetricDistortion"),
    dict(type="PackSegInputs"),
]
OURS = [
    dict(type="LoadRandomCrop", **RESIZE, crop_size=CROP, cat_max_ratio=0.75, flip=0.5),
    dict(type="SamplePhotometricDistortion"),
    dict(type="PackCropInputs"),
]
NORMALISE = dict(
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    bgr_to_rgb=True,
    size=CROP,
    seg_pad_val=255,
)

Sample = dict[str, Any]
Pipeline = Callable[[Sample], Sample]


class Scenes(torch.utils.data.Dataset):
    """Street scenes on disk, and packed."""

    def __init__(
        self, root: Path, pipeline: list[dict[str, Any]], store: PackedStore | None
    ) -> None:
        self.root, self.store = root, store
        self.run: Pipeline = Compose(pipeline)

    def __len__(self) -> int:
        return IMAGES * ROUNDS

    def record(self, number: int) -> Sample:
        """Return what a data set gives to its pipeline."""
        files = {"img_path": f"images/{number}.png", "seg_map_path": f"labels/{number}.png"}
        record = {key: str(self.root / path) for key, path in files.items()}
        packed = {"packed": self.store[number]} if self.store else {}
        return {**record, "label_map": None, "reduce_zero_label": False, "seg_fields": [], **packed}

    def __getitem__(self, draw: int) -> Sample:
        np.random.seed(draw)
        return self.run(self.record(draw % IMAGES))


def make_scenes(root: Path) -> PackedStore:
    """Write images and train-id labels, and pack them."""
    raw = root / "raw"
    settings = StreetsSettings(train=IMAGES, val=1, width=WIDTH, height=HEIGHT, seed=0)
    generate_streets(raw, settings, workers=os.cpu_count() or 1, on_progress=lambda *_: None)
    table = table_of(PublishedDataset(kind="cityscapes"))
    lookup = np.array([table.train_id.get(raw_id, 255) for raw_id in range(256)], np.uint8)
    for folder in ("images", "labels"):
        (root / folder).mkdir()
    images = sorted(raw.glob("leftImg8bit/train/*/*.png"))
    labels = sorted(raw.glob("gtFine/train/*/*_labelIds.png"))
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        image.rename(root / f"images/{number}.png")
        ids = cv2.imread(str(label), cv2.IMREAD_UNCHANGED)
        cv2.imwrite(str(root / f"labels/{number}.png"), cv2.LUT(ids, lookup))
    entries = [
        {"image": f"{one}.png", "label": f"{one}.png", "height": HEIGHT, "width": WIDTH}
        for one in range(IMAGES)
    ]
    manifest = {
        **{"digest": "", "image_root": "images", "label_root": "labels"},
        "splits": {"train": entries},
    }
    pack_dataset(manifest, root / "store", data=root, workers=1, show=lambda *_: None)
    return PackedStore(root / "store", "train", "")


def core_ms(work: Callable[[int], object], times: int) -> float:
    """Return milliseconds of one core for one call; the better of two rounds, after a warm-up."""
    best = math.inf
    for _ in range(3):
        begun = time.process_time()
        for number in range(times):
            work(number)
        best = min(best, time.process_time() - begun)
    return best / times * 1e3


def steps(scenes: Scenes) -> dict[str, float]:
    """Return the milliseconds of each transform of a pipeline."""
    names = [type(one).__name__ for one in scenes.run.transforms]
    spent = dict.fromkeys(names, 0.0)
    for draw in range(IMAGES * ROUNDS):
        np.random.seed(draw)
        sample = scenes.record(draw % IMAGES)
        for name, transform in zip(names, scenes.run.transforms, strict=True):
            begun = time.process_time()
            sample = transform(sample)
            spent[name] += time.process_time() - begun
    return {name: seconds / IMAGES / ROUNDS * 1e3 for name, seconds in spent.items()}


def step_records(stock: Scenes, ours: Scenes) -> Iterator[Record]:
    """Measure what each step may cost; say what the stock one is made of."""
    theirs, mine = steps(stock), steps(ours)
    print("stock, ms:", ", ".join(f"{name} {spent:.2f}" for name, spent in theirs.items()))
    last = ("PhotoMetricDistortion", "PackSegInputs")
    window = sum(spent for name, spent in theirs.items() if name not in last)
    yield _record("  read, resize, crop, mirror", "ms", window, mine["LoadRandomCrop"])
    yield _record(
        "  colours (ours: drawn, not applied)",
        "ms",
        theirs[last[0]],
        mine["SamplePhotometricDistortion"],
    )
    yield _record("  pack", "ms", theirs[last[1]], mine["PackCropInputs"])


def through_worker(scenes: Scenes) -> float:
    """Return images a second that one worker brings to the process that trains."""
    loader = DataLoader(
        scenes, batch_size=2, num_workers=1, collate_fn=pseudo_collate, persistent_workers=True
    )
    for _ in loader:
        pass  # workers are warm
    begun = time.perf_counter()
    for _ in loader:
        pass
    return len(scenes) / (time.perf_counter() - begun)


def on_device(scenes: Scenes, kind: str) -> float:
    """Return milliseconds an image of what is left to the device."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    preprocessor = MODELS.build(dict(type=kind, **NORMALISE)).to(device)
    samples = [scenes[draw] for draw in range(8)]

    def prepare(number: int) -> None:
        pair = pseudo_collate([samples[2 * number % 8], samples[(2 * number + 1) % 8]])
        preprocessor(pair, True)
        if device == "cuda":
            torch.cuda.synchronize()

    if device == "cpu":
        return core_ms(prepare, 8) / 2
    begun = time.perf_counter()
    for number in range(40):
        prepare(number)
    return (time.perf_counter() - begun) / 80 * 1e3


def forget(files: list[Path]) -> None:
    """Take files out of the system's cache."""
    for file in files:
        with file.open("rb") as opened:
            os.fsync(opened.fileno())
            os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def cold(scenes: Scenes, files: list[Path]) -> tuple[float, float]:
    """Return milliseconds by the clock, and MB read from the disk, for an image not in memory."""
    forget(files)
    before, begun = _bytes_read(), time.perf_counter()
    for number in range(IMAGES):
        scenes[number]
    seconds = time.perf_counter() - begun
    return seconds / IMAGES * 1e3, (_bytes_read() - before) / IMAGES / 1e6


def _bytes_read() -> int:
    fields = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(fields["read_bytes"])


def weight(sample: Sample) -> int:
    """Return the bytes that go from worker to device for one image."""
    label = sample["data_samples"].gt_sem_seg.data
    return sample["inputs"].nbytes + label.nbytes


def compare(root: Path) -> list[Record]:
    """Measure all cases."""
    store = make_scenes(root)
    stock, files, ours = (
        Scenes(root, STOCK, None),
        Scenes(root, OURS, None),
        Scenes(root, OURS, store),
    )
    their_ms, files_ms = core_ms(stock.__getitem__, IMAGES), core_ms(files.__getitem__, IMAGES)
    our_ms = core_ms(ours.__getitem__, IMAGES * 4)
    records = [_record("an image, one core", "ms", their_ms, our_ms)]
    records.append(Record("one core", "images/s", 1e3 / their_ms, 1e3 / our_ms, their_ms / our_ms))
    records += [_record("an image, one core, without a store", "ms", their_ms, files_ms)]
    records += step_records(stock, ours)
    device = "GPU" if torch.cuda.is_available() else "CPU, one core"
    parts = on_device(stock, "SegDataPreProcessor"), on_device(ours, "DevicePreProcessor")
    records.append(_record(f"left to the device ({device})", "ms", *parts))
    rates = through_worker(stock), through_worker(ours)
    records.append(Record("through one worker", "images/s", *rates, rates[1] / rates[0]))
    needed = [math.ceil(WANTED / rate) for rate in rates]
    records.append(_record(f"workers for {WANTED} images/s", "workers", *needed))
    records.append(
        _record("worker to device", "MB/image", weight(stock[0]) / 1e6, weight(ours[0]) / 1e6)
    )
    return records + disk_records(root, stock)


def disk_records(root: Path, stock: Scenes) -> list[Record]:
    """Measure what the store costs, and both sides from a cold cache."""
    plain = [*root.glob("images/*.png"), *root.glob("labels/*.png")]
    # A copy that nothing maps: the system keeps what is mapped.
    shutil.copytree(root / "store", root / "cold")
    tiles = [root / "cold/train.tiles"]
    unread = Scenes(root, OURS, PackedStore(root / "cold", "train", ""))
    sizes = [sum(file.stat().st_size for file in some) / IMAGES / 1e6 for some in (plain, tiles)]
    theirs, mine = cold(stock, plain), cold(unread, tiles)
    return [
        _record("on disk", "MB/image", *sizes),
        _record("an image, cold, by the clock", "ms", theirs[0], mine[0]),
        _record("an image, cold, read from disk", "MB", theirs[1], mine[1]),
    ]


def _record(case: str, unit: str, public: float, ours: float) -> Record:
    return Record(case, unit, public, ours, public / ours if ours else math.nan)


def main() -> None:
    """Measure, print, write."""
    options = arguments(__doc__ or "")
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    init_default_scope("mmseg")
    with tempfile.TemporaryDirectory() as folder:
        records = compare(Path(folder))
    publish("Loading crops of 512x1024 from images of 1024x2048", records, options.json)


if __name__ == "__main__":
    main()
