"""Converts colours between 8-bit BGR and HSV as OpenCV does, in PyTorch on any device.

Source: OpenCV's `modules/imgproc/src/color_hsv.simd.hpp` (`RGB2HSV_b`, `HSV2RGB_b`). Values are
whole numbers in float32. Hue is 0..179 in steps of 2 degrees, all other values are 0..255.
"""

import torch
from torch import Tensor

HUES = 180
_FIXED_POINT = 4096  # `1 << hsv_shift`


def bgr_to_hsv(bgr: Tensor) -> Tensor:
    """Convert blue, green and red `(3, ...)` to hue, saturation and value `(3, ...)`.

    Equal to `cv2.COLOR_BGR2HSV` for all 256**3 colours.
    """
    hsv = torch.empty_like(bgr)
    hue, saturation, value = hsv.unbind()
    torch.maximum(torch.maximum(bgr[0], bgr[1]), bgr[2], out=value)
    below = value - bgr  # how far each channel lies below the largest
    chroma = torch.maximum(torch.maximum(below[0], below[1]), below[2])
    saturation.copy_(_times_ratio(chroma, 255, value))
    # Hue times chroma, in sixths of a turn, by the largest channel: red, else green, else blue.
    # Masks clamped to 0 and 1 replace `torch.where`: several times as fast on a CPU.
    not_red, not_green = below[2].clamp(max=1), below[1].clamp(max=1)
    red = below[0] - below[1]
    green = (below[2] - below[0]).add_(chroma, alpha=2)
    blue = (below[1] - below[2]).add_(chroma, alpha=4)
    green.addcmul_(not_green, blue.sub_(green))
    hue.copy_(_times_ratio(red.addcmul_(not_red, green.sub_(red)), HUES // 6, chroma))
    hue.add_(hue.neg().clamp_(0, 1), alpha=HUES)  # -29 .. -1 become 151 .. 179
    return hsv


def _times_ratio(x: Tensor, numerator: int, divisor: Tensor) -> Tensor:
    """Return `round(x * numerator / divisor)` in OpenCV's fixed point; 0 where `divisor` is 0.

    Exact in float32: the ratio has 12 fractional bits, and |x| is at most 5 times `divisor`.
    """
    ratio = divisor.clamp(min=1).reciprocal_().mul_(numerator * _FIXED_POINT).round_()
    return ratio.mul_(x).add_(_FIXED_POINT // 2).mul_(1 / _FIXED_POINT).floor_()


def hsv_to_bgr(hsv: Tensor) -> Tensor:
    """Convert hue, saturation and value `(3, ...)` to blue, green and red `(3, ...)`.

    Equal to `cv2.COLOR_HSV2BGR` if both or neither use fused multiply-add (OpenCV does with AVX2);
    otherwise 1758 of 35 million results differ by 1. This function always truncates; OpenCV rounds
    the pixels after the last multiple of 32 (AVX2) or 16 of a row.
    """
    sector = hsv[0] * (6 / HUES)
    bgr = torch.empty_like(hsv)
    torch.maximum(3 - sector, sector - 5, out=bgr[0])
    torch.maximum(1 - sector, sector - 3, out=bgr[1])
    torch.minimum(sector - 1, 5 - sector, out=bgr[2])
    bgr.clamp_(0, 1)  # how much of the saturation is subtracted
    saturation, value = hsv[1] * (1 / 255), hsv[2] * (1 / 255)
    bgr = torch.addcmul(hsv.new_ones(()), saturation, bgr, value=-1)
    return bgr.mul_(value).mul_(255).floor_()
