"""A run beside the result that the authors of its config publish."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import PurePosixPath

from isnet.io.yaml_file import StrictModel, read_yaml, validate
from isnet.records.evaluate_record import MultiScaleScores, SingleScaleScores
from isnet.records.result_reader import DatasetResults, RunResults
from isnet.reporting.text_table import TextTable

__all__ = [
    "Beside",
    "Official",
    "OfficialResults",
    "beside_official",
    "interval_text",
    "official_results",
]

AS_PUBLISHED = "the settings are the official ones"

_COLUMNS = ("Run", "Protocol", "mIoU", "95 % interval", "Official", "Difference", "Inside")
_NUMERIC = _COLUMNS[2:6]
_UNSAID = ("overrides.train_cfg.max_iters", "overrides.method")
"""Settings that do not deviate by themselves: one is said as the number of iterations."""


class Official(StrictModel):
    """What is published of one config; mIoU in percent."""

    kind: str
    iterations: int
    batch: int
    mIoU: float
    ms_flip: float


class OfficialData(StrictModel):
    """The data set that is scored."""

    images: int
    classes: int


class OfficialResults(StrictModel):
    """`published_results.yaml`: results by the file name of the config, data sets by their kind."""

    source: str
    data: dict[str, OfficialData]
    results: dict[str, Official]


@dataclass(frozen=True)
class Beside:
    """The runs of one data set that have an official result, one or two rows each.

    `deviations[run]` says in words how the run was made otherwise; empty where as published.
    """

    table: TextTable
    deviations: dict[str, list[str]]
    source: str

    def sentences(self) -> list[tuple[list[str], str]]:
        """Return how runs were made otherwise, or that they were not: (names, what is said)."""
        said: dict[str, list[str]] = {}
        for run, found in self.deviations.items():
            line = f"not made as the official one: {'; '.join(found)}" if found else AS_PUBLISHED
            said.setdefault(line, []).append(run)
        return [(names, line) for line, names in said.items()]


@functools.cache
def official_results() -> OfficialResults:
    """Return the published results."""
    with as_file(files("isnet.reporting").joinpath("published_results.yaml")) as path:
        return validate(OfficialResults, read_yaml(path, "Restore it"), path)


def beside_official(dataset: DatasetResults, runs: Sequence[RunResults]) -> Beside | None:
    """Return the runs beside the official results, or None where there are none for them.

    A config on another kind of data than it was published for has none.
    """
    published = official_results()
    known = [
        (run, official)
        for run in runs
        if (official := published.results.get(PurePosixPath(run.trained.config).name))
        and official.kind == dataset.manifest.kind
    ]
    if not known:
        return None
    rows = [row for run, official in known for row in _rows(run, official)]
    return Beside(
        table=TextTable(_COLUMNS, rows, _NUMERIC),
        deviations={run.name: _deviations(dataset, run, official) for run, official in known},
        source=published.source,
    )


def _rows(run: RunResults, official: Official) -> list[dict[str, str]]:
    evaluated = run.evaluated
    rows = [_row(run.name, "single scale", evaluated.single_scale, official.mIoU)]
    if evaluated.multi_scale_flip is not None:
        rows.append(_row(run.name, "ms+flip", evaluated.multi_scale_flip, official.ms_flip))
    return rows


def _row(
    name: str, protocol: str, scores: SingleScaleScores | MultiScaleScores, official: float
) -> dict[str, str]:
    own = None if scores.mIoU is None else scores.mIoU * 100
    bounds = _bounds(scores)
    # The difference is that of the numbers shown, so that a reader who subtracts them finds it.
    difference = None if own is None else round(own, 2) - official
    cells = (
        name,
        protocol,
        "-" if own is None else f"{own:.2f}",
        interval_text(scores),
        f"{official:.2f}",
        "-" if difference is None else f"{difference:+.2f}".replace("-", "\u2212"),
        "-" if bounds is None else "yes" if bounds[0] <= official <= bounds[1] else "no",
    )
    return dict(zip(_COLUMNS, cells, strict=True))


def interval_text(scores: SingleScaleScores | MultiScaleScores) -> str:
    """Return the interval of mIoU in percent as a table shows it."""
    bounds = _bounds(scores)
    return "-" if bounds is None else f"{bounds[0]:.2f}\u2013{bounds[1]:.2f}"


def _bounds(scores: SingleScaleScores | MultiScaleScores) -> tuple[float, float] | None:
    low, high = (scores.intervals or {}).get("mIoU", (None, None))
    return None if low is None or high is None else (low * 100, high * 100)


def _deviations(dataset: DatasetResults, run: RunResults, official: Official) -> list[str]:
    """Return how a run was made otherwise than the official one."""
    trained, evaluated, settings = run.trained, run.evaluated, run.settings
    data = official_results().data[official.kind]
    found = [
        f"{what} {_thousands(own)} instead of {_thousands(theirs)}"
        for what, own, theirs in (
            ("iterations", trained.iterations, official.iterations),
            ("global batch", trained.global_batch, official.batch),
            ("scored images", evaluated.images, data.images),
            ("classes", len(dataset.manifest.classes), data.classes),
        )
        if own is not None and own != theirs
    ]
    changed = {k: v for k, v in settings.items() if k.startswith("overrides.") and k not in _UNSAID}
    changed |= {
        key: settings[key]
        for key, usual in (("precision", "float32"), ("ema", None))
        if settings.get(key, usual) != usual
    }
    return found + [
        f"{key.replace('overrides.', 'override ', 1)} = {value}" for key, value in changed.items()
    ]


def _thousands(count: int) -> str:
    return f"{count:,}"
