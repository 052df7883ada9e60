"""Models, their registry and the parents of sweeps: each once, whoever feeds them, best first."""

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
from isnet.pipeline.mlflow_contents import tracked_run
from isnet.settings.params import load_params
from isnet.settings.plan import Plan
from isnet.tracking.mlflow.logged_model import WEIGHTS
from isnet.tracking.mlflow.model_registry import register
from isnet.tracking.mlflow.parent_run import PARENT, ParentRun

NAME = "isnet-streets"


@pytest.fixture
def client(checkout: Path, empty_store: Path) -> MlflowClient:
    """MLflow's view of the checkout, in which run `one` is the worse of two finished runs."""
    shutil.copy(empty_store, checkout / "mlflow.db")
    for run, miou in {"one": 0.25, "two": 0.5}.items():
        pretend_finished(checkout, run, miou)
    return MlflowClient(f"sqlite:///{checkout}/mlflow.db")


def _runs(client: MlflowClient) -> dict[str, Any]:
    experiment = client.get_experiment_by_name("isnet")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    names = [str(run.info.run_name) for run in runs]
    assert len(set(names)) == len(names)
    return dict(zip(names, runs, strict=True))


def _versions(client: MlflowClient) -> list[Any]:
    found = client.search_model_versions(f"name = '{NAME}'")
    return sorted(found, key=lambda version: int(version.version))


def _best(client: MlflowClient) -> str:
    return str(client.get_model_version_by_alias(NAME, "best").tags["run"])


def _feed_again() -> None:
    for memory in Path("work").rglob("mlflow.json"):
        memory.unlink()  # as after a crash between sending and remembering
    assert main(["track", "sync"]) == 0


def test_each_evaluated_run_has_one_model_that_the_registry_knows(client: MlflowClient) -> None:
    assert main(["track", "sync"]) == 0
    _feed_again()
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


def test_what_two_feeders_made_at_once_becomes_one(checkout: Path, client: MlflowClient) -> None:
    assert main(["track", "sync"]) == 0
    [first, second] = _versions(client)
    double = client.create_model_version(
        NAME, second.source, second.run_id, tags={WEIGHTS: second.tags[WEIGHTS]}
    )
    client.set_registered_model_alias(NAME, "best", first.version)  # from what it saw before
    runs = _runs(client)
    experiment = runs["one"].info.experiment_id
    run_id = runs["two"].info.run_id
    client.create_logged_model(
        experiment, "model", run_id, {WEIGHTS: second.tags[WEIGHTS], "isnet.created": str(2**62)}
    )
    _feed_again()
    assert [version.version for version in _versions(client)] == [first.version, second.version]
    assert double.version not in {first.version, second.version}
    assert _best(client) == "two"
    assert len(client.search_logged_models([experiment])) == 2


def test_an_older_run_that_arrives_late_takes_over(client: MlflowClient) -> None:
    """Another machine made it at the same time; this one had looked before it was there."""
    assert main(["track", "sync"]) == 0
    mine = _runs(client)["two"]
    experiment = mine.info.experiment_id
    older = client.create_run(
        experiment,
        run_name="two",
        tags={"isnet.key": mine.data.tags["isnet.key"], "isnet.created": "1"},
    )
    _feed_again()
    assert _runs(client)["two"].info.run_id == older.info.run_id
    models = client.search_logged_models([experiment])
    assert sorted(model.source_run_id for model in models) == sorted(
        run.info.run_id for run in _runs(client).values()
    )
    assert client.get_model_version_by_alias(NAME, "best").run_id == older.info.run_id
    assert len(_versions(client)) == 2


@pytest.mark.parametrize("call", ["log_inputs", "log_outputs", "create_registered_model"])
def test_another_feeder_that_was_quicker_is_no_failure(
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


def test_an_upload_that_was_cut_off_is_done_again(
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


def test_a_store_without_a_registry_costs_a_line(
    client: MlflowClient, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def unknown(*_: Any, **__: Any) -> None:
        raise NotImplementedError("no registry")

    monkeypatch.setattr(MlflowClient, "search_registered_models", unknown)
    assert main(["track", "sync"]) == 0
    told = capsys.readouterr().err
    assert told.count("keeps no models") == 1
    assert "2 of 2 runs are in MLflow" in told
    assert len(_runs(client)) == 2


def test_weights_that_do_not_say_what_they_are_become_no_model(
    checkout: Path, client: MlflowClient, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(checkout / "results/runs/one")
    shutil.rmtree(checkout / "work/runs/one")
    pretend_finished(checkout, "one", 0.25, weights="of old")
    assert main(["track", "sync"]) == 0
    assert "the weights of one are of an earlier isnet" in capsys.readouterr().err
    assert [version.tags["run"] for version in _versions(client)] == ["two"]


def test_runs_of_a_sweep_stand_below_one_parent_with_mean_and_spread(
    checkout: Path, client: MlflowClient, edit: Callable[[str, str], None]
) -> None:
    for name in ("one", "two"):
        edit(f"  {name}:\n", f"  {name}:\n    sweep: grid\n")
    assert main(["track", "sync"]) == 0
    _feed_again()
    runs = _runs(client)
    parent = runs.pop("grid (sweep)")
    assert runs.keys() == {"one", "two"}
    assert {run.data.tags[PARENT] for run in runs.values()} == {parent.info.run_id}
    assert parent.data.metrics["sweep/runs"] == 2
    assert parent.data.metrics["sweep/mIoU_mean"] == pytest.approx(0.375)
    assert parent.data.metrics["sweep/mIoU_std"] == pytest.approx(0.125 * 2**0.5)
    assert parent.info.status == "FINISHED"

    # Another machine made a parent at the same time, and has put a run there.
    other = client.create_run(
        parent.info.experiment_id, tags={"isnet.sweep": "grid", "isnet.created": str(2**62)}
    )
    client.set_tag(runs["one"].info.run_id, PARENT, other.info.run_id)
    record = tracked_run(Plan.of(load_params()), "two")
    assert record is not None
    kept = ParentRun.of(client, parent.info.experiment_id, record, lambda: None)
    assert kept.id == parent.info.run_id
    assert _runs(client)["one"].data.tags[PARENT] == parent.info.run_id
    assert client.get_run(other.info.run_id).info.lifecycle_stage == "deleted"


def test_a_registry_fed_from_what_was_seen_before_ends_at_the_best(client: MlflowClient) -> None:
    """Between looking and setting the alias, another feeder registers a better one."""
    assert main(["track", "sync"]) == 0
    [first, second] = _versions(client)
    client.set_registered_model_alias(NAME, "best", first.version)
    record = tracked_run(Plan.of(load_params()), "one")
    assert record is not None
    set_alias, seen = client.set_registered_model_alias, list[int]()

    def set_late(name: str, alias: str, version: str) -> None:
        if not seen:
            client.set_model_version_tag(NAME, first.version, "mIoU", "0.9")
        seen.append(int(version))
        set_alias(name, alias, version)

    client.set_registered_model_alias = set_late  # type: ignore[method-assign]
    register(client, NAME, first.model_id, str(first.run_id), record, lambda: None)
    assert seen == [int(second.version), int(first.version)]
