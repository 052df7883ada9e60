"""Metrics of a finished run, under the names that MLflow and the other sinks show."""

from isnet.tracking.tracked_run import TrackedRun

_SCORES = (
    *("mIoU", "mAcc", "aAcc", "fwIoU", "mDice", "mFscore", "mPrecision", "mRecall"),
    *("boundary_mIoU", "ece"),
)
_COSTS = {
    "parameters": ("parameters_million", 1e6),
    "flops": ("gflops", 1e9),
    "images_per_second": ("images_per_second", 1),
    "peak_memory_gb": ("peak_memory_gb", 1),
}
"""Costs by key of metrics.json: the shown name, which includes the unit, and the divisor."""


def final_metrics(record: TrackedRun) -> dict[str, float]:
    """Return the metrics `final/...` of a finished run, with its scores if it is evaluated."""
    assert record.summary is not None
    final = {"train_seconds": record.summary.get("seconds")}
    if record.metrics:
        for name, suffix in (("single_scale", ""), ("multi_scale_flip", "_ms_flip")):
            scores = record.metrics[name] or {}
            final |= {f"{key}{suffix}": scores[key] for key in _SCORES if key in scores}
        for key, (name, unit) in _COSTS.items():
            if (value := record.metrics.get(key)) is not None:
                final[name] = value / unit
    return {f"final/{key}": float(value) for key, value in final.items() if value is not None}
