"""3x3 convolutions with a quarter of the products, on a CPU: Winograd's F(4x4, 3x3) as in Lavin and
Gray, CVPR 2016 (arXiv 1509.09308).

A tile of 4x4 outputs needs 6x6 inputs. Filter and inputs are polynomials whose product is found
from its values at six points: 36 products for each pair of channels in place of 144. It is the same
sum in float32, rounded otherwise, as cuDNN does it on a GPU.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

__all__ = ["Winograd", "winograd_conv2d"]

_TILE, _TAPS = 4, 3
_SPAN = _TILE + _TAPS - 1
_POINTS = (0.0, math.sqrt(0.5), -math.sqrt(0.5), math.sqrt(2), -math.sqrt(2))
"""And infinity. The usual 0, 1, -1, 2, -2 make four times the rounding error."""
_TILES_AT_ONCE = 512
_FEWEST_CHANNELS = 192
_FEWEST_POSITIONS = 2048
_MOST_WASTE = 1.3
"""Beyond these torch's own convolution is as fast."""


class Winograd(TorchFunctionMode):
    """Within it, the convolutions that gain from it are done by `winograd_conv2d`; for inference,
    since it has no gradients.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call what torch was asked for, or do better."""
        return (_conv2d if func is torch.conv2d else func)(*args, **(kwargs or {}))


def _conv2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    # As a layer says it; whoever writes numbers or names for pairs is served by torch.
    keeps_size = stride == (1, 1) and padding == dilation and isinstance(dilation, tuple)
    if (
        keeps_size
        and dilation[0] == dilation[1]
        and groups == 1
        and x.ndim == 4
        and weight.shape[2:] == (_TAPS, _TAPS)
        and min(weight.shape[:2]) >= _FEWEST_CHANNELS
        and x.dtype == weight.dtype == torch.float32
        and x.device.type == "cpu"
        and _fits_tiles(x.shape[2], x.shape[3], _TILE * dilation[0])
    ):
        return winograd_conv2d(x, weight, bias, dilation[0])
    return torch.conv2d(x, weight, bias, stride, padding, dilation, groups)


def _fits_tiles(height: int, width: int, step: int) -> bool:
    covered = math.prod(_tiles_along(side, step) for side in (height, width)) * step**2
    return height * width >= _FEWEST_POSITIONS and covered <= _MOST_WASTE * height * width


def _tiles_along(side: int, step: int) -> int:
    return math.ceil(side / step)


def winograd_conv2d(x: Tensor, weight: Tensor, bias: Tensor | None, dilation: int) -> Tensor:
    """Return `F.conv2d(x, weight, bias, padding=dilation, dilation=dilation)` for a 3x3 `weight`
    `(O, C, 3, 3)` and `x` `(B, C, H, W)`: `(B, O, H, W)`, in the memory format `channels_last`. All
    are float32 on the CPU.

    The largest error is some 1e-5 of the result's standard deviation (of torch's own: 2e-6).
    """
    batch, channels, height, width = x.shape
    outputs, step = len(weight), _TILE * dilation
    filters = _FILTER @ weight.reshape(-1, _TAPS**2).T
    filters = filters.view(_SPAN**2, outputs, channels).transpose(1, 2)
    down, across = _tiles_along(height, step), _tiles_along(width, step)
    y = x.new_empty(batch, down, _TILE, dilation, across, _TILE, dilation, outputs)
    rows = min(down, max(1, _TILES_AT_ONCE // (across * dilation**2)))
    # One place for all pieces: memory that was just used is in the cache.
    most = rows * across * dilation**2
    inputs, values = x.new_empty(2, _SPAN**2, most, channels)
    products = x.new_empty(_SPAN**2, most, outputs)
    for image in range(batch):
        for top in range(0, down, rows):
            count = min(rows, down - top)
            part = slice(count * across * dilation**2)
            tiles = _tiles(x[image], top, count, across, dilation)
            inputs[:, part].view(tiles.shape).copy_(tiles)
            torch.mm(_DATA, inputs[:, part].flatten(1), out=values[:, part].flatten(1))
            torch.bmm(values[:, part], filters, out=products[:, part])
            found = _OUTPUT @ products[:, part].flatten(1)
            found = found.view(_TILE, _TILE, *tiles.shape[2:-1], outputs)
            if bias is not None:
                found += bias
            y[image, top : top + count] = found.permute(2, 0, 3, 4, 1, 5, 6)
    whole = y.view(batch, down * step, across * step, outputs)[:, :height, :width]
    return whole.contiguous().permute(0, 3, 1, 2)


def _tiles(x: Tensor, top: int, down: int, across: int, dilation: int) -> Tensor:
    """Return views of `down` rows of tiles of `x` `(C, H, W)` from the row of tiles `top` on, zeros
    around it: `(6, 6, down, dilation, across, dilation, C)`. With a dilation, every so many rows
    and columns are a map of their own.
    """
    channels, height, width = x.shape
    step = _TILE * dilation
    first = top * step - dilation
    strip = x.new_zeros(down * step + 2 * dilation, across * step + 2 * dilation, channels)
    low, high = max(first, 0), min(first + len(strip), height)
    inner = strip[low - first : high - first, dilation : dilation + width]
    inner.copy_(x[:, low:high].permute(1, 2, 0))
    row, column, _ = strip.stride()
    return strip.as_strided(
        (_SPAN, _SPAN, down, dilation, across, dilation, channels),
        (dilation * row, dilation * column, step * row, row, step * column, column, 1),
    )


def _values(coefficients: int) -> Tensor:
    """Return the matrix that turns a polynomial's coefficients into its values at the points."""
    finite = [[point**power for power in range(coefficients)] for point in _POINTS]
    infinite = [0.0] * (coefficients - 1) + [1.0]
    return torch.tensor([*finite, infinite], dtype=torch.float64)


def _in_two_dimensions(matrix: Tensor) -> Tensor:
    return torch.kron(matrix, matrix).float()


# Toom and Cook multiply polynomials by values and interpolation; a convolution that slides is
# their product transposed.
_DATA = _in_two_dimensions(torch.linalg.inv(_values(_SPAN)).T)
_FILTER = _in_two_dimensions(_values(_TAPS))
_OUTPUT = _in_two_dimensions(_values(_TILE).T)
