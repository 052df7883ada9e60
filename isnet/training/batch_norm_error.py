"""Explains the error of a batch norm that gets one value per channel, such as after pooling."""

import contextlib
import traceback
from collections.abc import Iterator

from torch import nn

from isnet.errors import UserError

_MESSAGE = "Expected more than 1 value per channel"


@contextlib.contextmanager
def explain_single_values(model: nn.Module, where: str) -> Iterator[None]:
    """Convert torch's error of a batch norm over one value to a UserError that names the layer.

    The error comes in the first forward pass of `model`, before any weight changes, if a batch norm
    got one image of 1x1 positions. `where` names the run in the message.
    """
    try:
        yield
    except ValueError as error:
        if _MESSAGE not in str(error):
            raise
        names = {module: name for name, module in model.named_modules()}
        frames = [frame.f_locals.get("self") for frame, _ in traceback.walk_tb(error.__traceback__)]
        modules = [module for module in frames if isinstance(module, nn.Module)]
        layer = next(
            (names[module] for module in reversed(modules) if names.get(module)), "a layer"
        )
        raise UserError(
            f"the batch norm {layer.removeprefix('module.')} gets one value per channel, "
            "because each process trains on one image at a time and the layer pools it to 1x1",
            where=where,
            hint="Give each process two images or more: fewer devices, or "
            "overrides: {train_dataloader: {batch_size: 2}} and, if the global batch is 1, "
            "auto_scale_lr: {base_batch_size: 2}",
        ) from error
