"""Boundary IoU (Cheng et al., CVPR 2021) of all classes in one pass, excluding ignored pixels."""

import math

import cv2
import numpy as np

from isnet.metrics.confusion_matrix import Labels, Matrix, joint_histogram

BOUNDARY_RATIO = 0.02
"""Boundary width as a fraction of the image diagonal, as in the paper's code."""


def boundary_width(height: int, width: int) -> int:
    """Return the boundary width in pixels: 2 % of the image diagonal, rounded, at least 1."""
    return max(round(BOUNDARY_RATIO * math.hypot(height, width)), 1)


def boundary_labels(labels: Labels, ignored: Labels, width: int) -> Labels:
    """Keep `labels` `(H, W)` on the boundary of each class, and set all other pixels to 255.

    A pixel is on the boundary of its class if another class, or the outside of the image, lies at
    most `width` pixels away (Chebyshev distance). `ignored` `(H, W)` is 255 for ignored pixels,
    else 0. Ignored pixels belong to no class: they are on no boundary and form none.

    Without ignored pixels the result equals the erosion of each class in the paper's code. Two
    filters serve all classes: a square holds a single class if its least and largest label are
    equal.
    """
    square = np.ones((2 * width + 1, 2 * width + 1), np.uint8)
    # OpenCV's filters ignore what is outside of the image. `or` with a mask of 255 gives 255.
    # Buffers are reused: allocating new ones takes half of the time.
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
    label: Labels, prediction: Labels, num_classes: int, ignore_index: int = 255
) -> Matrix:
    """Count true positive, false negative and false positive boundary pixels of each class.

    Returns `(K, 3)` int64 for K classes. A true positive is on the boundary of the class in both
    label and prediction. `label` `(H, W)` holds classes and `ignore_index`, `prediction` `(H, W)`
    only classes.
    """
    width = boundary_width(*label.shape)
    ignored = np.asarray(np.equal(label, ignore_index), np.uint8) * np.uint8(255)
    counts = joint_histogram(
        boundary_labels(label, ignored, width), boundary_labels(prediction, ignored, width)
    )
    hits = np.diagonal(counts)[:num_classes]
    labelled, predicted = counts.sum(axis=1)[:num_classes], counts.sum(axis=0)[:num_classes]
    return np.stack([hits, labelled - hits, predicted - hits], axis=1)
