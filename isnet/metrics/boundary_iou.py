"""Boundary IoU (Cheng et al., CVPR 2021) of all classes at once, blind to ignored pixels."""

from __future__ import annotations

import math

import cv2
import numpy as np

from isnet.metrics.confusion_matrix import Labels, Matrix
from isnet.metrics.joint_histogram import joint_histogram

__all__ = ["BOUNDARY_RATIO", "boundary_counts", "boundary_labels", "boundary_width"]

BOUNDARY_RATIO = 0.02
"""Width of the boundary as a share of the image's diagonal, as in the paper's code."""


def boundary_width(height: int, width: int) -> int:
    """Return how many pixels wide the boundary of an image is: 2 % of its diagonal, rounded, and at
    least 1; 46 for 1024x2048.
    """
    return max(round(BOUNDARY_RATIO * math.hypot(height, width)), 1)


def boundary_labels(labels: Labels, ignored: Labels, width: int) -> Labels:
    """Return the labels `(H, W)` of the pixels on the boundary of their own class, 255 elsewhere.

    A pixel is on it if another class lies at most `width` pixels away, in rows and in columns
    (Chebyshev), or what is outside of the image. Where `ignored` `(H, W)` is 255 and not 0, a pixel
    belongs to no class: it is on no boundary and makes none. Without such pixels it is what the
    paper's code erodes class by class; here two filters serve all classes: a square holds a single
    class if its least and its greatest label are the same.
    """
    square = np.ones((2 * width + 1, 2 * width + 1), np.uint8)
    # OpenCV lets neither filter see anything beyond the edges; 255 in a mask wins every `or`.
    # Arrays are used again: fresh memory would take half of the time.
    known = np.asarray(cv2.bitwise_or(labels, ignored), np.uint8)
    least = cv2.erode(known, square)
    spare = cv2.bitwise_not(ignored)
    cv2.bitwise_and(labels, spare, dst=spare)
    greatest = cv2.dilate(spare, square)
    inner = cv2.compare(least, greatest, cv2.CMP_EQ, dst=spare)
    inner[:width] = inner[-width:] = 0
    inner[:, :width] = inner[:, -width:] = 0
    cv2.bitwise_or(known, inner, dst=known)
    return known


def boundary_counts(
    truth: Labels, prediction: Labels, num_classes: int, ignore_index: int = 255
) -> Matrix:
    """Count the boundary pixels of each class: `(K, 3)` int64 with hits (on the boundary of the
    class in truth and prediction), missed (in the truth only) and wrong (in the prediction only).

    `truth` and `prediction` `(H, W)` hold classes, the truth `ignore_index` too: what is ignored
    counts nowhere. Boundary IoU is hits / (hits + missed + wrong).
    """
    width = boundary_width(*truth.shape)
    ignored = np.asarray(np.equal(truth, ignore_index), np.uint8) * np.uint8(255)
    counts = joint_histogram(
        *(boundary_labels(side, ignored, width) for side in (truth, prediction))
    )
    hits = np.diagonal(counts)[:num_classes]
    truly, predicted = counts.sum(axis=1)[:num_classes], counts.sum(axis=0)[:num_classes]
    return np.stack([hits, truly - hits, predicted - hits], axis=1)
