"""Models, their registry and the parents of sweeps: each is used once, by any uploader."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from pretended_run import pretend_finished, score

from isnet.cli import main
from isnet.pipeline.runs_to_track import current_record
from isnet.settings.params import load_params
from isnet.settings.plan import Plan
from isnet.tracking.mlflow.mlflow_run import PARENT, find_or_create_parent, summarise_sweep
from isnet.tracking.mlflow.model_registry import WEIGHTS, register

NAME = "isnet-streets"


@pytest.fixture
def client(checkout: Path, empty_store: Path) -> MlflowClient:
    """A client of the checkout's store; run `one` is the worse of two finished runs."""
    shutil.copy(empty_store, checkout / "mlflow.db")
    for run, miou in {"one": 0.25, "two": 0.5}.items():
        pretend_finished(checkout, run, miou)
    return MlflowClient(f"sqlite:///{checkout}/mlflow.db")


def _runs(client: MlflowClient) -> dict[str, Any]:
    """Return the runs by name, without those that are marked as duplicates."""
    experiment = client.get_experiment_by_name("isnet")
    assert experiment is not None
    found = client.search_runs([experiment.experiment_id])
    runs = [run for run in found if "isnet.duplicate_of" not in run.data.tags]
    names = [str(run.info.run_name) for run in runs]
    assert len(set(names)) == len(names)
    return dict(zip(names, runs, strict=True))


def _versions(client: MlflowClient) -> list[Any]:
    found = client.search_model_versions(f"name = '{NAME}'")
    return sorted(found, key=lambda version: int(version.version))


def _best(client: MlflowClient) -> str:
    return str(client.get_model_version_by_alias(NAME, "best").tags["run"])


def _upload_again() -> None:
    for note in Path("work").rglob("mlflow.json"):
        note.unlink()  # as after a crash before it was written
    assert main(["track", "sync"]) == 0


def test_each_evaluated_run_has_one_registered_model(client: MlflowClient) -> None:
    assert main(["track", "sync"]) == 0
    _upload_again()
    runs = _runs(client)
    models = client.search_logged_models([runs["one"].info.experiment_id])
    assert {model.source_run_id for model in models} == {run.info.run_id for run in runs.values()}
    assert len(models) == 2
    assert {str(model.status) for model in models} == {"READY"}
    assert [version.tags["run"] for version in _versions(client)] == ["one", "two"]
    assert _versions(client)[1].tags["mIoU"] == "0.5"
    assert _versions(client)[1].run_id == runs["two"].info.run_id
    assert _best(client) == "two"
    for uri in (f"runs:/{runs['two'].info.run_id}/model", f"models:/{NAME}@best"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{Path.cwd()}/mlflow.db")
            mlflow.set_tracking_uri(None)
            info = mlflow.models.get_model_info(uri)
        assert info.signature is not None
        assert info.signature.inputs.input_names() == ["image"]
    # Only one copy of the weights, and nothing left where it was put together.
    assert len([*Path("mlartifacts").rglob("weights.pth")]) == 2
    assert not [*Path("work").rglob(".model-*")]


def test_best_moves_only_to_a_better_one_on_the_same_data(
    checkout: Path, client: MlflowClient
) -> None:
    score(checkout, "two", 0.25)  # no better than the first
    assert main(["track", "sync"]) == 0
    assert _best(client) == "one"
    score(checkout, "two", 0.3)
    assert main(["track", "sync"]) == 0
    assert _best(client) == "two"
    assert len(_versions(client)) == 2
    # The data that were registered last decide: other scores do not compare.
    client.set_model_version_tag(NAME, "2", "data.manifest", "another")
    score(checkout, "one", 0.9)
    assert main(["track", "sync"]) == 0
    assert _best(client) == "two"


def test_of_two_models_and_versions_created_at_once_the_oldest_is_used(
    checkout: Path, client: MlflowClient
) -> None:
    assert main(["track", "sync"]) == 0
    [first, second] = _versions(client)
    double = client.create_model_version(
        NAME, second.source, second.run_id, tags={WEIGHTS: second.tags[WEIGHTS]}
    )
    client.set_registered_model_alias(NAME, "best", first.version)  # set from earlier scores
    runs = _runs(client)
    experiment = runs["one"].info.experiment_id
    run_id = runs["two"].info.run_id
    unused = client.create_logged_model(
        experiment, "model", run_id, {WEIGHTS: second.tags[WEIGHTS], "isnet.created": str(2**62)}
    )
    _upload_again()
    # Nothing is deleted; the younger ones get neither scores nor files.
    versions = _versions(client)
    assert [v.version for v in versions] == [first.version, second.version, double.version]
    assert ["mIoU" in version.tags for version in versions] == [True, True, False]
    assert client.get_model_version_by_alias(NAME, "best").version == second.version
    models = client.search_logged_models([experiment])
    assert [m.model_id for m in models if str(m.status) != "READY"] == [unused.model_id]


def test_an_older_run_that_appears_late_is_used(client: MlflowClient) -> None:
    """Another machine created it at the same time, after this one had searched."""
    assert main(["track", "sync"]) == 0
    mine = _runs(client)["two"]
    experiment = mine.info.experiment_id
    older = client.create_run(
        experiment,
        run_name="two",
        tags={"isnet.key": mine.data.tags["isnet.key"], "isnet.created": "1"},
    )
    _upload_again()
    assert _runs(client)["two"].info.run_id == older.info.run_id
    history = client.get_metric_history(older.info.run_id, "train/loss")
    assert [metric.step for metric in history] == [1, 2]
    duplicate = client.get_run(mine.info.run_id)
    assert duplicate.info.run_name == "two (duplicate)"
    assert duplicate.data.tags["isnet.duplicate_of"] == older.info.run_id
    assert duplicate.info.lifecycle_stage == "active"
    models = client.search_logged_models([experiment])
    assert older.info.run_id in {model.source_run_id for model in models}
    assert _best(client) == "two"
    assert len(_versions(client)) == 2  # of the same weights: the version stays


def test_an_older_run_that_appears_during_an_upload_gets_everything(
    client: MlflowClient, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    original, older = MlflowClient.log_inputs, list[str]()

    def create_older(self: MlflowClient, run_id: str, *given: Any, **named: Any) -> None:
        original(self, run_id, *given, **named)
        run = client.get_run(run_id)
        if not older and run.info.run_name == "two":
            tags = {"isnet.key": run.data.tags["isnet.key"], "isnet.created": "1"}
            created = client.create_run(run.info.experiment_id, run_name="two", tags=tags)
            older.append(created.info.run_id)

    monkeypatch.setattr(MlflowClient, "log_inputs", create_older)
    assert main(["track", "sync"]) == 1
    assert "an older run of this training" in capsys.readouterr().err
    assert main(["track", "sync"]) == 0
    two = _runs(client)["two"]
    assert two.info.run_id == older[0]
    assert two.data.metrics["final/mIoU"] == 0.5


@pytest.mark.parametrize("call", ["log_inputs", "log_outputs", "create_registered_model"])
def test_an_entry_that_another_uploader_created_first_is_no_failure(
    client: MlflowClient, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = getattr(MlflowClient, call)

    def second(*given: Any, **named: Any) -> None:
        original(*given, **named)
        raise MlflowException("UNIQUE constraint failed")

    monkeypatch.setattr(MlflowClient, call, second)
    assert main(["track", "sync"]) == 0
    for run in _runs(client).values():
        assert [used.dataset.name for used in run.inputs.dataset_inputs] == ["streets"]
        assert len(run.outputs.model_outputs) == 1
    assert _best(client) == "two"


def test_an_interrupted_upload_is_repeated(
    client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(*_: Any) -> None:
        raise ConnectionError("connection reset")

    with monkeypatch.context() as broken:
        broken.setattr(MlflowClient, "log_model_artifacts", cut)
        assert main(["track", "sync"]) == 1
    left = Path("work/runs/one/one-key/.model-killed")
    left.mkdir()
    assert main(["track", "sync"]) == 0
    models = client.search_logged_models([_runs(client)["one"].info.experiment_id])
    assert [str(model.status) for model in models] == ["READY"] * 2
    assert not left.exists()


def test_a_store_without_a_registry_costs_one_line(
    client: MlflowClient, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def unknown(*_: Any, **__: Any) -> None:
        raise NotImplementedError("no registry")

    monkeypatch.setattr(MlflowClient, "search_registered_models", unknown)
    assert main(["track", "sync"]) == 0
    log = capsys.readouterr().err
    assert log.count("keeps no models") == 1
    assert "2 of 2 runs are in MLflow" in log
    assert len(_runs(client)) == 2


def test_weights_without_metadata_become_no_model(
    checkout: Path, client: MlflowClient, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(checkout / "results/runs/one")
    shutil.rmtree(checkout / "work/runs/one")
    pretend_finished(checkout, "one", 0.25, weights="of old")
    assert main(["track", "sync"]) == 0
    assert "the weights of one are of an earlier isnet" in capsys.readouterr().err
    assert [version.tags["run"] for version in _versions(client)] == ["two"]


def test_runs_of_a_sweep_have_one_parent_with_mean_and_standard_deviation(
    checkout: Path, client: MlflowClient, edit: Callable[[str, str], None]
) -> None:
    for name in ("one", "two"):
        edit(f"  {name}:\n", f"  {name}:\n    sweep: grid\n")
    assert main(["track", "sync"]) == 0
    _upload_again()
    runs = _runs(client)
    parent = runs.pop("grid (sweep)")
    assert runs.keys() == {"one", "two"}
    assert {run.data.tags[PARENT] for run in runs.values()} == {parent.info.run_id}
    assert parent.data.metrics["sweep/runs"] == 2
    assert parent.data.metrics["sweep/mIoU_mean"] == pytest.approx(0.375)
    assert parent.data.metrics["sweep/mIoU_std"] == pytest.approx(0.125 * 2**0.5)
    assert parent.info.status == "FINISHED"

    # Another machine created a parent at the same time and used it; a duplicate run has scores.
    other = client.create_run(
        parent.info.experiment_id, tags={"isnet.sweep": "grid", "isnet.created": str(2**62)}
    )
    client.set_tag(runs["one"].info.run_id, PARENT, other.info.run_id)
    duplicate = client.create_run(
        parent.info.experiment_id,
        tags={**runs["two"].data.tags, "isnet.created": str(2**62)},
    )
    client.log_metric(duplicate.info.run_id, "final/mIoU", 1.0)
    record = current_record(Plan.of(load_params()), "two")
    assert record is not None
    kept = find_or_create_parent(client, parent.info.experiment_id, record)
    summarise_sweep(client, parent.info.experiment_id, "grid", kept)
    assert kept == parent.info.run_id
    assert client.get_run(runs["one"].info.run_id).data.tags[PARENT] == parent.info.run_id
    assert client.get_run(other.info.run_id).data.tags["isnet.duplicate_of"] == kept
    assert client.get_run(kept).data.metrics["sweep/runs"] == 2
    assert client.get_run(kept).data.metrics["sweep/mIoU_mean"] == pytest.approx(0.375)


def test_the_alias_ends_at_the_best_despite_concurrent_scores(client: MlflowClient) -> None:
    """Another uploader registers a better score between the search and the setting of the alias."""
    assert main(["track", "sync"]) == 0
    [first, second] = _versions(client)
    client.set_registered_model_alias(NAME, "best", first.version)
    record = current_record(Plan.of(load_params()), "one")
    assert record is not None
    set_alias, seen = client.set_registered_model_alias, list[int]()

    def set_late(name: str, alias: str, version: str) -> None:
        if not seen:
            client.set_model_version_tag(NAME, first.version, "mIoU", "0.9")
        seen.append(int(version))
        set_alias(name, alias, version)

    client.set_registered_model_alias = set_late  # type: ignore[method-assign]
    register(client, NAME, first.model_id, str(first.run_id), record)
    assert seen == [int(second.version), int(first.version)]


@pytest.mark.parametrize("set_elsewhere", [True, False])
def test_an_alias_that_two_set_at_once_is_no_fault(
    client: MlflowClient, set_elsewhere: bool
) -> None:
    """A server refuses the second of two inserts of the alias."""
    assert main(["track", "sync"]) == 0
    [first, second] = _versions(client)
    client.delete_registered_model_alias(NAME, "best")
    record = current_record(Plan.of(load_params()), "one")
    assert record is not None
    set_alias, refused = client.set_registered_model_alias, MlflowException("UNIQUE constraint")

    def refuse_first(name: str, alias: str, version: str) -> None:
        client.set_registered_model_alias = set_alias  # type: ignore[method-assign]
        if set_elsewhere:
            set_alias(name, alias, first.version)
        raise refused

    client.set_registered_model_alias = refuse_first  # type: ignore[method-assign]
    if set_elsewhere:
        register(client, NAME, first.model_id, str(first.run_id), record)
        assert client.get_model_version_by_alias(NAME, "best").version == second.version
    else:
        with pytest.raises(MlflowException) as raised:
            register(client, NAME, first.model_id, str(first.run_id), record)
        assert raised.value is refused
