"""Integer-exact metrics: confusion matrix, boundary IoU, calibration, bootstrap intervals."""
