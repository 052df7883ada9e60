"""Chooses the range of values by which the images of a data set become 8 bits."""

import logging
from collections.abc import Mapping, Sequence

from isnet.data.convert.label_conversion import ConversionJob, ConversionResult
from isnet.errors import UserError
from isnet.io.value_range import ValueRange, widest

_log = logging.getLogger(__name__)


def choose_range(
    given: ValueRange | None,
    jobs: Mapping[str, Sequence[ConversionJob]],
    results: Mapping[ConversionJob, ConversionResult],
    origin: str,
) -> ValueRange | None:
    """Return the given range, or else the widest of the train images; None if all have 8 bits.

    Args:
        given: `range` of the description.
        jobs: the images by split.
        results: what each image has.
        origin: the file of the description, for messages.

    Raises:
        UserError: a range is given and no image needs one, or none can be measured.
    """
    deep = {
        split: [found for job in some if (found := results[job].measured)]
        for split, some in jobs.items()
    }
    count, total = sum(map(len, deep.values())), sum(map(len, jobs.values()))
    if not count:
        if given is not None:
            what = "range is for images of more than 8 bits, and all images have 8"
            raise UserError(what, where=origin, hint="Leave it out")
        return None
    chosen, how = given, f"as {origin} says"
    if chosen is None:
        low, high = widest(deep["train"]) if deep["train"] else (0.0, 0.0)
        chosen = float(f"{low:.6g}"), float(f"{high:.6g}")  # as the message says it
        if chosen[0] >= chosen[1]:
            what = f"{count} images have more than 8 bits, and train has no range of such values"
            hint = "Write `range: [low, high]`: the values that become black and white"
            raise UserError(what, where=origin, hint=hint)
        how = f"measured in train; `range: [low, high]` in {origin} sets another"
    _log.info(
        f"{count} of {total} images have more than 8 bits: {chosen[0]:g} becomes 0, "
        f"{chosen[1]:g} becomes 255 ({how})"
    )
    return chosen
