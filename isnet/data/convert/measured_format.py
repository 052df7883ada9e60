"""Chooses how the images of a data set are read: the range given, or measured in train."""

import logging
import math
from collections.abc import Mapping, Sequence

from isnet.data.catalog import DatasetDescription
from isnet.data.convert.label_conversion import ConversionJob
from isnet.data.convert.pair_facts import BandValues, PairFacts
from isnet.errors import UserError
from isnet.images.pixel_format import PLAIN, Bands, PixelFormat
from isnet.images.value_range import ValueRange, show_limits, widest

_log = logging.getLogger(__name__)

_LEAST_STD = 1.0
"""Grey levels. A band that is almost constant must not become large numbers."""


def choose_pixel_format(
    description: DatasetDescription,
    bands: Bands | None,
    jobs: Mapping[str, Sequence[ConversionJob]],
    results: Mapping[ConversionJob, PairFacts],
    origin: str,
) -> PixelFormat:
    """Return how images are read: with the range of the description, or the widest of train.

    `bands` are those to read. Raises UserError, which names `origin`, if images of 8 bits and of
    more are mixed without a range, a range is given for 8 bits, or train has a single value.
    """
    given, total = description.ranges, sum(map(len, jobs.values()))
    deep = [job.image for some in jobs.values() for job in some if results[job].is_deep]
    train = [results[job] for job in jobs["train"]]
    stated = {
        f"{one.no_data:.10g}"
        for one in train
        if one.no_data is not None and any(band.no_data for band in one.bands)
    }
    if stated:
        _log.info(f"pixels with GDAL's no-data value {', '.join(sorted(stated))} are not measured")
    if not deep and given is not None:
        what = "range is for images of more than 8 bits, and all images have 8"
        raise UserError(what, where=origin, hint="Leave it out")
    if not deep:
        return PLAIN if bands is None else PixelFormat(bands=_with_statistics(bands, None, train))
    pairs = "[low, high]" if bands is None else "[[low, high], ...]"
    written = f"`range: {pairs}` in {origin}: the values that become black and white"
    if given is None and len(deep) < total:
        what = f"has more than 8 bits, as {len(deep)} of {total} images"
        raise UserError(what, where=deep[0], hint=f"Save all images alike, or write {written}")
    chosen = given or _widest_ranges(bands, train)
    names = [""] if bands is None else [f"band {number}: " for number in bands.numbers]
    for name, (low, high) in zip(names, chosen, strict=True):
        if low >= high:
            what = f"{name}all images of train have the value {low:.10g}"
            raise UserError(what, where=origin, hint=f"Write {written}")
    how = f"measured in train; `range: {pairs}` in {origin} sets another"
    if given is not None:
        how = f"as {origin} says"
    mapped = "; ".join(
        "{}{} becomes 0, {} becomes 255".format(name, *show_limits(one))
        for name, one in zip(names, chosen, strict=True)
    )
    _log.info(f"{len(deep)} of {total} images have more than 8 bits: {mapped} ({how})")
    if bands is None:
        return PixelFormat(chosen[0])
    return PixelFormat(bands=_with_statistics(bands, chosen, train))


def _widest_ranges(bands: Bands | None, train: Sequence[PairFacts]) -> tuple[ValueRange, ...]:
    if bands is None:
        known = [one.measured for one in train if one.measured and not one.is_blank]
        return (widest(known or [(0.0, 0.0)]),)
    columns = zip(*(one.bands for one in train), strict=True)
    return tuple(
        widest([one.range for one in column if one.range and one.pixels] or [(0.0, 0.0)])
        for column in columns
    )


def _with_statistics(
    bands: Bands, ranges: tuple[ValueRange, ...] | None, train: Sequence[PairFacts]
) -> Bands:
    """Return the bands with their ranges, and means and deviations of train after these."""
    total = sum(one.width * one.height for one in train)
    columns = list(zip(*(one.bands for one in train), strict=True))
    pairs = [
        _mean_and_std(column, total, (0.0, 255.0) if ranges is None else ranges[channel])
        for channel, column in enumerate(columns)
    ]
    mean, std = zip(*pairs, strict=True)
    return bands.model_copy(update={"ranges": ranges, "mean": mean, "std": std})


def _mean_and_std(
    images: Sequence[BandValues], total: int, low_high: ValueRange
) -> tuple[float, float]:
    """Return mean and deviation of a band over the `total` pixels of the images, in 0..255.

    Those with a no-data value do not count. NaN becomes 0, so it adds nothing to the sums.
    """
    total = max(total - sum(one.no_data for one in images), 1)
    low, high = low_high
    # Images of 8 bits stay as they are, whatever the range.
    scaled = [
        (one.pixels, one.mean, one.std)
        if one.range is None
        else (one.pixels, (one.mean - low) * 255 / (high - low), one.std * 255 / (high - low))
        for one in images
    ]
    mean = sum(n * m for n, m, _ in scaled) / total
    square = sum(n * (s**2 + m**2) for n, m, s in scaled) / total
    return round(mean, 4), round(max(math.sqrt(max(square - mean**2, 0.0)), _LEAST_STD), 4)
