"""Winograd convolution F(4x4, 3x3) on a CPU (Lavin and Gray, CVPR 2016, arXiv 1509.09308).

A tile of 4x4 outputs needs 6x6 inputs. Filter and inputs are transformed to their values at six
points, multiplied there, and interpolated back. This takes 36 multiplications per pair of channels
instead of 144. The result equals the direct sum up to float32 rounding, as with cuDNN on a GPU.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

_TILE, _TAPS = 4, 3
_SPAN = _TILE + _TAPS - 1
_NEAR, _FAR = math.sqrt(0.5), math.sqrt(2)
"""The six points are 0, these with both signs, and infinity. The usual 1 and 2 give four times the
rounding error.
"""
_SCALES = (1, -2 / 3, -2 / 3, 1 / 6, 1 / 6, 1)
"""Factor per point that `_at_points` omits and the filters contain."""
_TILES_AT_ONCE = 512
_BLOCK = 2**15
"""Tiles times channels that are transformed together: 4.5 MiB, which fits the cache."""
_FEWEST_CHANNELS = 192
_SMALLEST_MAP = 2**20
_MOST_WASTE = 1.3
"""Limits of use. Outside them torch's own convolution is as fast."""


class Winograd(TorchFunctionMode):
    """Context manager that runs suitable convolutions by `winograd_conv2d`.

    For inference only, because `winograd_conv2d` has no gradients.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Replace `torch.conv2d`, and call other functions unchanged."""
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
    # As `nn.Conv2d` passes them; other forms (one number, a name) go to torch.
    keeps_size = stride == (1, 1) and padding == dilation and isinstance(dilation, tuple)
    is_float32 = x.dtype == weight.dtype == torch.float32 and x.device.type == "cpu"
    is_plain = groups == 1 and x.ndim == 4 and weight.shape[2:] == (_TAPS, _TAPS)
    if keeps_size and is_float32 and is_plain and dilation[0] == dilation[1]:
        is_large = min(weight.shape[:2]) >= _FEWEST_CHANNELS and x[0].numel() >= _SMALLEST_MAP
        if is_large and _fits_tiles(x.shape[2:], _TILE * dilation[0]):
            return winograd_conv2d(x, weight, bias, dilation[0])
    return torch.conv2d(x, weight, bias, stride, padding, dilation, groups)


def _fits_tiles(size: torch.Size, step: int) -> bool:
    covered = math.prod(math.ceil(side / step) * step for side in size)
    return covered <= _MOST_WASTE * size.numel()


def winograd_conv2d(x: Tensor, weight: Tensor, bias: Tensor | None, dilation: int) -> Tensor:
    """Compute `F.conv2d(x, weight, bias, padding=dilation, dilation=dilation)`, float32 on the CPU.

    `x` is `(B, C, H, W)`, `weight` `(O, C, 3, 3)`, `bias` `(O,)`, and the result `(B, O, H, W)` in
    `channels_last` format. The largest error is about 1e-5 of the result's standard deviation
    (torch's own: 3e-6 to 9e-6).
    """
    batch, channels, height, width = x.shape
    outputs, step = len(weight), _TILE * dilation
    filters = _FILTER @ weight.reshape(-1, _TAPS**2).T
    filters = filters.view(_SPAN**2, outputs, channels).transpose(1, 2)
    down, across = math.ceil(height / step), math.ceil(width / step)
    y = x.new_empty(batch, down, _TILE, dilation, across, _TILE, dilation, outputs)
    rows = min(down, max(1, _TILES_AT_ONCE // (across * dilation**2)))
    # With dilation d, every d-th row and column form an independent map.
    tiles = (_SPAN, _SPAN, rows, dilation, across, dilation)
    values, products = x.new_empty(*tiles, channels), x.new_empty(*tiles, outputs)
    x = x.permute(0, 2, 3, 1).contiguous()
    for image in range(batch):
        for top in range(0, down, rows):
            count = min(rows, down - top)
            for row in range(count):
                needed = _rows(x[image], (top + row) * step - dilation, _SPAN * dilation)
                _to_points(needed, values[:, :, row])
            part = slice(count * across * dilation**2)
            torch.bmm(
                values.view(_SPAN**2, -1, channels)[:, part],
                filters,
                out=products.view(_SPAN**2, -1, outputs)[:, part],
            )
            for row in range(count):
                _from_points(products[:, :, row], bias, y[image, top + row])
    whole = y.view(batch, down * step, across * step, outputs)[:, :height, :width]
    return whole.contiguous().permute(0, 3, 1, 2)


def _rows(x: Tensor, first: int, count: int) -> Tensor:
    """Return `count` rows of a map `(H, W, C)`, starting at row `first`, with zero padding."""
    low, high = max(first, 0), min(first + count, len(x))
    if high - low == count:
        return x[low:high]
    return F.pad(x[low:high], (0, 0, 0, 0, low - first, first + count - high))


def _to_points(x: Tensor, values: Tensor) -> None:
    """Transform a row of input tiles to their values at the six points.

    `x` are the rows that the tiles need `(6 * dilation, W, C)`; `values` is the output
    `(6, 6, dilation, across, dilation, C)`.
    """
    _, _, dilation, across, _, channels = values.shape
    step, width = _TILE * dilation, x.shape[1]
    rows = x.view(_SPAN, dilation, width, channels)
    for begin, end in _blocks(across, channels * dilation**2):
        first, last = begin * step - dilation, end * step + dilation
        low, high = max(first, 0), min(last, width)
        vertical = x.new_empty(_SPAN, dilation, last - first, channels)
        vertical[:, :, : low - first] = 0
        vertical[:, :, high - first :] = 0
        _at_points(rows[:, :, low:high], vertical[:, :, low - first : high - first])
        point, row, column, _ = vertical.stride()
        windows = vertical.as_strided(
            (_SPAN, _SPAN, dilation, end - begin, dilation, channels),
            (dilation * column, point, row, step * column, column, 1),
        )
        _at_points(windows, values[:, :, :, begin:end].transpose(0, 1))


def _from_points(products: Tensor, bias: Tensor | None, y: Tensor) -> None:
    """Transform a row of tiles from products at the six points back to outputs, and add the bias.

    `products` `(6, 6, dilation, across, dilation, O)` are overwritten; `y` is the output
    `(4, dilation, across, 4, dilation, O)`.
    """
    _, _, dilation, across, _, outputs = products.shape
    for begin, end in _blocks(across, outputs * dilation**2):
        block = products[:, :, :, begin:end]
        vertical = block.new_empty(_TILE, *block.shape[1:])
        _interpolate(block, vertical)
        part = y[:, :, begin:end]
        _interpolate(vertical.transpose(0, 1), part.movedim(3, 0))
        if bias is not None:
            part += bias


def _blocks(across: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield the start and end of each block of a row's tiles; `size` is the values per tile."""
    most = max(1, _BLOCK // size)
    for begin in range(0, across, most):
        yield begin, min(begin + most, across)


def _at_points(x: Tensor, values: Tensor) -> None:
    """Evaluate the polynomials along dimension 0 of `x` at the points, without `_SCALES`."""
    # (t^2 - near^2)(t^2 - far^2) = t^4 - 2.5 t^2 + 1
    torch.add(x[0], x[2], alpha=-2.5, out=values[0]).add_(x[4])
    torch.add(x[1], x[3], alpha=-2.5, out=values[5]).add_(x[5])
    for plus, minus, root, other in ((1, 2, _NEAR, _FAR), (3, 4, _FAR, _NEAR)):
        even = torch.add(x[4], x[2], alpha=-(other**2), out=values[plus])
        odd = torch.add(x[3], x[1], alpha=-(other**2), out=values[minus])
        even.add_(odd, alpha=root)
        torch.add(even, odd, alpha=-2 * root, out=odd)


def _interpolate(products: Tensor, y: Tensor) -> None:
    """Interpolate four outputs from six products along dimension 0; overwrites `products`."""
    zero, near, near_odd, far, far_odd, infinity = products
    for plus, minus in ((near, near_odd), (far, far_odd)):
        plus.add_(minus)
        torch.add(plus, minus, alpha=-2, out=minus)
    torch.add(zero, near, out=y[0]).add_(far)
    torch.mul(near_odd, _NEAR, out=y[1]).add_(far_odd, alpha=_FAR)
    torch.mul(near, _NEAR**2, out=y[2]).add_(far, alpha=_FAR**2)
    torch.add(infinity, near_odd, alpha=_NEAR**3, out=y[3]).add_(far_odd, alpha=_FAR**3)


def _filter_at_points() -> Tensor:
    """Return the `(36, 9)` Winograd transform of a flattened 3x3 filter to 6x6 values."""
    finite = [
        [point**power for power in range(_TAPS)] for point in (0.0, _NEAR, -_NEAR, _FAR, -_FAR)
    ]
    one = torch.tensor([*finite, [0.0, 0.0, 1.0]], dtype=torch.float64)
    one *= torch.tensor(_SCALES, dtype=torch.float64)[:, None]
    return torch.kron(one, one).float()


_FILTER = _filter_at_points()
