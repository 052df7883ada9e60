"""Weights that exist before a run: those that it starts from (`init_from` of the run, `load_from`
of its config), and those that it scores without a training (`weights`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from isnet.errors import UserError
from isnet.io.atomic_files import sha256_of
from isnet.io.spelling import suggest
from isnet.settings.experiment import Experiment
from isnet.settings.layout import home_of
from isnet.settings.params import Run, StartAddress, StartRun
from isnet.settings.pretrained_references import (
    local_path,
    missing_file_hint,
    pretrained_references,
)


@dataclass(frozen=True)
class StartWeights:
    """Where the weights are; exactly one of `file`, `url` and `run` is set."""

    origin: str  # as a person reads it: path, address or `run NAME`
    sha256: str | None  # of the file; None for a run, whose weights may not exist yet
    key: Literal["init_from", "weights"] = "init_from"  # the run's key that names them
    file: Path | None = None
    url: str | None = None
    run: str | None = None


def start_weights(run: Run, experiment: Experiment, where: str) -> StartWeights | None:
    """Return the weights that a run starts from or scores; None if it starts from new ones.

    `where` names the run in errors. Raises UserError if the file is missing, or both keys are set.
    """
    if run.weights is not None:
        return _locate(run.weights, "weights", f"{where}.weights")
    start, load_from = run.init_from, experiment.config.get("load_from")
    if start is not None and load_from is not None:
        hint = "Remove load_from, or override it with null"
        raise UserError("the config has load_from too", where=f"{where}.init_from", hint=hint)
    if start is None and load_from is None:
        return None
    if start is not None:
        return _locate(start, "init_from", f"{where}.init_from")
    if not isinstance(load_from, str) or "://" in load_from:
        hint = "Write init_from: {url: ..., sha256: ...} into the run"
        place = f"{where}.config: load_from"
        raise UserError(f"{load_from!r} is not the path of a file", where=place, hint=hint)
    return _locate(load_from, "init_from", f"{where}.config: load_from")


def _locate(
    given: str | StartAddress | StartRun, key: Literal["init_from", "weights"], where: str
) -> StartWeights:
    if isinstance(given, StartRun):
        return StartWeights(f"run {given.run}", None, key, run=given.run)
    if isinstance(given, StartAddress):
        origin = given.url.partition("?")[0]  # the query of a signed address is a credential
        return StartWeights(origin, given.sha256, key, url=given.url)
    file = home_of(Path.cwd()) / Path(given).expanduser()
    return StartWeights(given, _hash(file, given, where), key, file=file)


def pretrained_hashes(experiment: Experiment, where: str) -> dict[str, str]:
    """Return the SHA-256 of local files that the config's backbone is initialised from.

    Raises UserError, which names the run `where`, if a file is missing.
    """
    hashes = {}
    for node, key in pretrained_references(experiment.config["model"]):
        if file := local_path(node[key]):
            hashes[node[key]] = _hash(file, node[key], f"{where}.config: {key} of the backbone")
    return hashes


def check_start_runs(starts: Mapping[str, StartWeights | None]) -> None:
    """Raise UserError if a run needs one that does not exist, or runs start from each other."""
    for name in starts:
        seen = [name]
        while (start := starts[seen[-1]]) and start.run:
            where = f"params.yaml: runs.{seen[-1]}.{start.key}"
            if start.run not in starts:
                hint = suggest(start.run, starts, "Defined are")
                raise UserError(f"there is no run {start.run!r}", where=where, hint=hint)
            seen.append(start.run)
            if start.run in seen[:-1]:
                circle = " from ".join(seen[seen.index(start.run) :])
                hint = "Let one of them start from a file"
                raise UserError(f"runs start from each other: {circle}", where=where, hint=hint)


def start_settings(start: StartWeights | None) -> dict[str, Any]:
    """Return what reports and MLflow show; empty without such weights."""
    if start is None:
        return {}
    found = {start.key: start.origin}
    return found | ({f"{start.key}_sha256": start.sha256} if start.sha256 else {})


def _hash(file: Path, written: str, where: str) -> str:
    if not file.is_file():
        named = written or "''"
        hint = missing_file_hint(written)
        raise UserError(f"there is no file {named}", where=where, hint=hint)
    return sha256_of(file)
