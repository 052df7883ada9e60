"""Two machines upload to one MLflow server at once: each run, model and version is used once."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient
from pretended_run import pretend_finished
from tracker_lab import Server

pytestmark = pytest.mark.tracker
SYNC = "from isnet.cli import main; raise SystemExit(main(['track', 'sync']))"


def test_two_machines_at_once_use_one_of_each(
    checkout: Path,
    tmp_path: Path,
    edit: Callable[[str, str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("one", "two"):
        edit(f"  {name}:\n", f"  {name}:\n    sweep: grid\n")
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(checkout, elsewhere)
    for place in (checkout, elsewhere):
        pretend_finished(place, "one", 0.25)
        pretend_finished(place, "two", 0.5)
    server = Server(tmp_path)
    try:
        environment = os.environ | {"MLFLOW_TRACKING_URI": server.uri}
        syncs = [
            subprocess.Popen([sys.executable, "-c", SYNC], cwd=place, env=environment)
            for place in (checkout, checkout, elsewhere)
        ]
        assert [sync.wait() for sync in syncs] == [0] * 3
        # Each may have checked before the other's last write: a last upload settles it.
        for note in checkout.rglob("mlflow.json"):
            note.unlink()
        subprocess.run([sys.executable, "-c", SYNC], cwd=checkout, env=environment, check=True)

        client = MlflowClient(server.uri)
        found = client.search_runs([client.get_experiment_by_name("isnet").experiment_id])
        runs = [run for run in found if "isnet.duplicate_of" not in run.data.tags]
        assert sorted(run.info.run_name for run in runs) == ["grid (sweep)", "one", "two"]
        [parent] = [run for run in runs if run.info.run_name == "grid (sweep)"]
        assert parent.data.metrics["sweep/runs"] == 2
        used = {str(run.info.run_id) for run in runs}
        models = [
            model
            for model in client.search_logged_models([parent.info.experiment_id])
            if model.source_run_id in used and str(model.status) == "READY"
        ]
        assert len(models) == 2
        # Only the oldest version of the same weights has scores.
        versions = client.search_model_versions("name = 'isnet-streets'")
        assert sorted(v.tags["run"] for v in versions if "run" in v.tags) == ["one", "two"]
        assert client.get_model_version_by_alias("isnet-streets", "best").tags["run"] == "two"

        monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
        mlflow.set_tracking_uri(None)
        [two] = [run for run in runs if run.info.run_name == "two"]
        for uri in ("models:/isnet-streets@best", f"runs:/{two.info.run_id}/model"):
            assert mlflow.models.get_model_info(uri).signature is not None
    finally:
        server.stop()
