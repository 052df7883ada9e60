"""Compares runs with the results that the authors of their configs published."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import PurePosixPath

from isnet.io.yaml_file import StrictModel, read_yaml, validate
from isnet.records.result_reader import DatasetResults, RunResults
from isnet.records.run_records import ViewMeans
from isnet.reporting.markdown_latex_table import TextTable
from isnet.reporting.page_templates import percent

_AS_PUBLISHED = "the settings are the official ones"
_COLUMNS = ("Run", "Protocol", "mIoU", "95 % interval", "Official", "Difference", "Inside")
_NUMERIC = _COLUMNS[2:6]
_IGNORED = ("overrides.train_cfg.max_iters", "overrides.method")
"""Overrides that are no deviation. The first is compared as the number of iterations."""
_USUAL = {"precision": "float32", "ema": None, "init_from": None}


class PublishedResult(StrictModel):
    """Settings and mIoU (percent) that were published for one config."""

    kind: str
    iterations: int
    batch: int
    mIoU: float
    ms_flip: float


class PublishedData(StrictModel):
    """Size of the data set on which a result was published."""

    images: int
    classes: int


class PublishedResults(StrictModel):
    """Schema of `published_results.yaml`: results by file name of the config, data sets by kind."""

    source: str
    data: dict[str, PublishedData]
    results: dict[str, PublishedResult]


@dataclass(frozen=True)
class PublishedComparison:
    """Comparison of the runs of a data set with published results, in one or two rows per run.

    `deviations[run]` lists how the settings of a run differ from the published ones. The list is
    empty if they agree.
    """

    table: TextTable
    deviations: dict[str, list[str]]
    source: str

    def sentences(self) -> list[tuple[list[str], str]]:
        """Return pairs (run names, clause on their deviations), one pair per distinct clause."""
        names: dict[str, list[str]] = {}
        for run, found in self.deviations.items():
            line = f"differs from the official settings: {'; '.join(found)}"
            names.setdefault(line if found else _AS_PUBLISHED, []).append(run)
        return [(runs, line) for line, runs in names.items()]


@functools.cache
def read_published_results() -> PublishedResults:
    """Read the published results from the YAML file in the package."""
    with as_file(files("isnet.reporting").joinpath("published_results.yaml")) as path:
        return validate(PublishedResults, read_yaml(path, "Restore it"), path)


def compare_with_published(
    dataset: DatasetResults, runs: Sequence[RunResults]
) -> PublishedComparison | None:
    """Compare runs with the results published for their config and kind of data, or return None."""
    published = read_published_results()
    known = [
        (run, result)
        for run in runs
        if (result := published.results.get(PurePosixPath(run.trained.config).name))
        and result.kind == dataset.manifest.kind
    ]
    if not known:
        return None
    rows = []
    for run, result in known:
        evaluated = run.evaluated
        rows.append(_row(run.name, "single scale", evaluated.single_scale, result.mIoU))
        if evaluated.multi_scale_flip is not None:
            rows.append(_row(run.name, "ms+flip", evaluated.multi_scale_flip, result.ms_flip))
    deviations = {run.name: _deviations(dataset, run, result) for run, result in known}
    return PublishedComparison(TextTable(_COLUMNS, rows, _NUMERIC), deviations, published.source)


def _row(name: str, protocol: str, scores: ViewMeans, published: float) -> dict[str, str]:
    own, bounds = scores.mIoU, scores.bounds("mIoU")
    # The difference is that of the rounded numbers in the table.
    difference = None if own is None else round(own * 100, 2) - published
    cells = (
        name,
        protocol,
        percent(own, 2),
        interval_text(scores),
        f"{published:.2f}",
        "-" if difference is None else f"{difference:+.2f}".replace("-", "\u2212"),
        "-" if not bounds else "yes" if bounds[0] <= published / 100 <= bounds[1] else "no",
    )
    return dict(zip(_COLUMNS, cells, strict=True))


def interval_text(scores: ViewMeans) -> str:
    """Format the confidence interval of mIoU in percent for a table cell."""
    bounds = scores.bounds("mIoU")
    return "\u2013".join(percent(end, 2) for end in bounds) if bounds else "-"


def _deviations(dataset: DatasetResults, run: RunResults, result: PublishedResult) -> list[str]:
    """List how the settings of a run differ from the published ones."""
    trained, evaluated, settings = run.trained, run.evaluated, run.settings
    data = read_published_results().data[result.kind]
    found = [
        f"{what} {own:,} instead of {published:,}"
        for what, own, published in (
            ("iterations", trained.iterations, result.iterations),
            ("global batch", trained.global_batch, result.batch),
            ("scored images", evaluated.images, data.images),
            ("classes", len(dataset.manifest.classes), data.classes),
        )
        if own is not None and own != published
    ]
    found += [
        f"override {key.removeprefix('overrides.')} = {value}"
        for key, value in settings.items()
        if key.startswith("overrides.") and key not in _IGNORED
    ]
    return found + [
        f"{key} = {settings[key]}"
        for key, usual in _USUAL.items()
        if settings.get(key, usual) != usual
    ]
