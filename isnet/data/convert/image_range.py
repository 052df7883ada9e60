"""Chooses the range of values by which the images of a data set become 8 bits."""

import logging
from collections.abc import Mapping, Sequence

from isnet.data.convert.label_conversion import ConversionJob, ConversionResult
from isnet.errors import UserError
from isnet.io.value_range import ValueRange, show_limits, widest

_log = logging.getLogger(__name__)


def choose_range(
    given: ValueRange | None,
    jobs: Mapping[str, Sequence[ConversionJob]],
    results: Mapping[ConversionJob, ConversionResult],
    origin: str,
) -> ValueRange | None:
    """Return the range of the description, or the widest of train; None if all have 8 bits.

    Raises:
        UserError: a range is given and no image needs one, or only some images do, or all of train
            have one value.
    """
    deep = [job.image for some in jobs.values() for job in some if results[job].measured]
    total = sum(map(len, jobs.values()))
    if given is None:
        if not deep:
            return None
        chosen = _measure(deep, total, [results[job].measured for job in jobs["train"]], origin)
        how = f"measured in train; `range: [low, high]` in {origin} sets another"
    else:
        if not deep:
            what = "range is for images of more than 8 bits, and all images have 8"
            raise UserError(what, where=origin, hint="Leave it out")
        chosen, how = given, f"as {origin} says"
    low, high = show_limits(chosen)
    _log.info(
        f"{len(deep)} of {total} images have more than 8 bits: {low} becomes 0, "
        f"{high} becomes 255 ({how})"
    )
    return chosen


def _measure(
    deep: Sequence[str], total: int, measured: Sequence[ValueRange | None], origin: str
) -> ValueRange:
    written = f"`range: [low, high]` in {origin}: the values that become black and white"
    if len(deep) < total:
        what = f"has more than 8 bits, as {len(deep)} of {total} images"
        raise UserError(what, where=deep[0], hint=f"Save all images alike, or write {written}")
    low, high = widest([one for one in measured if one])
    if low >= high:
        what = f"all images of train have the value {low:.10g}"
        raise UserError(what, where=origin, hint=f"Write {written}")
    return low, high
