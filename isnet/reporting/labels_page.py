"""Writes the HTML page of a converted data set: class frequencies, sample images and findings."""

from pathlib import Path

from isnet.io.atomic_files import write_text
from isnet.io.message_text import list_names
from isnet.records.dataset_records import Census, Manifest, SplitCounts
from isnet.reporting.class_charts import census_bars
from isnet.reporting.label_samples import LabelSample, choose_samples, distinct_colours
from isnet.reporting.page_templates import render_page

SCRIPTS = ("tips.js", "save.js", "labels.js")
STYLES = ("labels.css",)

IGNORED = 0.3  # share of ignored pixels above which a split is reported
DOMINANT = 0.95  # share of labelled pixels above which a class is reported
FEW_IMAGES = 3  # number of images below which a class is reported
RATIO = 10  # ratio of a class's shares in train and val above which it is reported
FEW_SIZES = 3  # most image sizes that are listed one by one
MANY = 40  # number of classes above which the bars are in two columns


def write_labels_page(manifest: Manifest, census: Census, data: Path, target: Path) -> None:
    """Write the HTML page of a converted data set atomically. The same inputs give the same bytes.

    `data` is the data root, which contains images and labels. Raises UserError if one is missing.
    """
    samples, decoded = choose_samples(manifest, data)
    colours = distinct_colours(manifest.palette)
    names = [*census.classes, "ignored"]
    pixels = [split.pixels for split in census.splits.values()]
    context = {
        "manifest": manifest,
        "images": sum(split.images for split in census.splits.values()),
        "findings": label_findings(census),
        "census": census_bars(census),
        "sizes": {name: _sizes(split) for name, split in census.splits.items()},
        "order": sorted(range(len(census.classes)), key=lambda i: [-split[i] for split in pixels]),
        "columns": 2 if len(census.classes) > MANY else 1,
        "samples": samples,
        "decoded": decoded,
        "share": _share,
        "unseen": _unseen(census, samples),
        "data": {
            "names": {",".join(map(str, c)): n for c, n in zip(colours, names, strict=True)},
            "ignored": ",".join(map(str, colours[-1])),
        },
    }
    write_text(target, render_page("labels.html.j2", context, scripts=SCRIPTS, styles=STYLES))


def label_findings(census: Census) -> list[str]:
    """Return warnings about suspicious numbers of pixels or images per class, a sentence each."""
    splits, classes = census.splits, census.classes
    totals = zip(classes, *(split.pixels for split in splits.values()), strict=True)
    unused = [name for name, *pixels in totals if not any(pixels)]
    found = []
    if unused:
        found.append(f"In the class table, but in no label of any split: {list_names(unused)}.")
    for name, split in splits.items():
        found += _split_findings(name, split, classes, unused)
    if {"train", "val"} <= splits.keys():
        train, val = splits["train"], splits["val"]
        uneven = [
            f"{cls} ({_share(a)} % of train, {_share(b)} % of val)"
            for cls, a, b in zip(classes, _shares(train), _shares(val), strict=True)
            if a and b and max(a, b) > RATIO * min(a, b)
        ]
        if uneven:
            claim = f"More than {RATIO} times as frequent in one split as in the other"
            found.append(f"{claim}: {list_names(uneven)}.")
    return found


def _split_findings(
    name: str, split: SplitCounts, classes: list[str], unused: list[str]
) -> list[str]:
    found = []
    total = sum(split.pixels) + split.ignored_pixels
    if total and split.ignored_pixels > IGNORED * total:
        share = _share(split.ignored_pixels / total)
        found.append(f"{share} % of the pixels of {name} are ignored.")
    absent = [c for c, n in zip(classes, split.pixels, strict=True) if not n and c not in unused]
    if absent:
        found.append(f"Not in {name}, but in another split: {list_names(absent)}.")
    found += [
        f"{cls} has {_share(share)} % of the labelled pixels of {name}."
        for cls, share in zip(classes, _shares(split), strict=True)
        if share > DOMINANT
    ]
    few = [
        f"{cls} ({count})"
        for cls, count in zip(classes, split.images_with_class, strict=True)
        if 0 < count < FEW_IMAGES
    ]
    if few:
        found.append(f"In fewer than {FEW_IMAGES} images of {name}: {list_names(few)}.")
    return found


def _shares(split: SplitCounts) -> list[float]:
    """Return the share of each class in the labelled pixels of a split."""
    total = sum(split.pixels) or 1
    return [pixels / total for pixels in split.pixels]


def _share(fraction: float) -> str:
    """Format a share in percent with three significant digits, because shares span decades."""
    percent = fraction * 100
    if 0 < percent < 1e-4:
        return "<0.0001"
    return f"{percent:#.3g}".rstrip(".") if percent else "0"


def _unseen(census: Census, samples: list[LabelSample]) -> str:
    """Return a text that lists the classes that no sample shows, those in most images first."""
    shown = {i for sample in samples for i, _ in sample.classes}
    images = {
        name: sum(split.images_with_class[i] for split in census.splits.values())
        for i, name in enumerate(census.classes)
        if i not in shown
    }
    order = sorted(filter(images.get, images), key=lambda name: -images[name])
    return list_names([f"{name} (in {_images(images[name])})" for name in order])


def _images(count: int) -> str:
    return f"{count} image{'s' * (count != 1)}"


def _sizes(split: SplitCounts) -> str:
    """Describe the image sizes of a split. More than `FEW_SIZES` sizes are shortened to a range."""
    if len(split.sizes) <= FEW_SIZES:
        return ", ".join(
            size if len(split.sizes) == 1 else f"{size} ({_images(count)})"
            for size, count in sorted(split.sizes.items(), key=lambda item: -item[1])
        )
    widths, heights = zip(*(map(int, size.split("x")) for size in split.sizes), strict=True)
    return (
        f"{len(split.sizes)} sizes, {min(widths)} to {max(widths)} wide, "
        f"{min(heights)} to {max(heights)} high"
    )
