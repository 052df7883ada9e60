"""`mlflow models predict` and `mlflow models serve`, with nothing but the model's own folder."""

from __future__ import annotations

import base64
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.tracker
MLFLOW = [sys.executable, "-m", "mlflow", "models"]


@pytest.fixture(scope="module")
def address(served_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = tmp_path_factory.mktemp("serve") / "log"
    command = [
        *MLFLOW,
        "serve",
        "-m",
        str(served_folder),
        "--env-manager",
        "local",
        "-p",
        str(port),
    ]
    with log.open("wb") as told:
        server = subprocess.Popen(
            command, cwd=log.parent, stdout=told, stderr=told, start_new_session=True
        )
    address = f"http://127.0.0.1:{port}"
    while True:
        try:
            urllib.request.urlopen(f"{address}/ping", timeout=5).close()
            break
        except OSError:
            assert server.poll() is None, log.read_text()
            time.sleep(0.3)
    yield address
    os.killpg(server.pid, 9)
    server.wait()


def _ask(address: str, body: bytes) -> tuple[int, Any]:
    request = urllib.request.Request(
        f"{address}/invocations", body, {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=300) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_a_served_model_answers_images_and_outlives_hostile_requests(
    address: str, served_folder: Path
) -> None:
    example = (served_folder / "serving_input_example.json").read_bytes()
    [[image]] = json.loads(example)["dataframe_split"]["data"]
    hostile = [
        b"",
        b"{",
        b"[]",
        json.dumps({"inputs": {"image": ["/etc/passwd"]}}).encode(),
        json.dumps({"inputs": {"picture": [image]}}).encode(),
        json.dumps({"dataframe_records": [{"image": image[: len(image) // 2]}]}).encode(),
        json.dumps({"dataframe_records": [{"image": "A" * 100_000_000}]}).encode(),
        json.dumps({"dataframe_records": [{"image": image}] * 17}).encode(),
    ]
    for body in hostile:
        status, told = _ask(address, body)
        assert status == 400, (body[:50], told)
    for good in (
        {"inputs": {"image": [image]}},
        {"dataframe_records": [{"image": image}]},
    ):
        status, answer = _ask(address, json.dumps(good).encode())
        assert status == 200, answer
        [row] = answer["predictions"]
        assert (row["width"], row["height"]) == (128, 64)
        assert base64.b64decode(row["mask"]).startswith(b"\x89PNG")


LOADS = """
import sys, mlflow
mlflow.pyfunc.load_model(sys.argv[1])
files = [str(module.__file__) for name, module in sys.modules.items() if name.startswith("isnet.")]
assert len(files) > 20
assert all(file.startswith(sys.argv[1]) for file in files), files
"""


def test_a_model_brings_all_of_our_code_that_it_runs(served_folder: Path, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", LOADS, str(served_folder)], cwd=tmp_path, check=True)


def test_predict_answers_the_models_own_example(served_folder: Path, tmp_path: Path) -> None:
    example, out = served_folder / "serving_input_example.json", tmp_path / "out.json"
    command = [*MLFLOW, "predict", "-m", str(served_folder), "--env-manager", "local"]
    subprocess.run(
        [*command, "-i", str(example), "-t", "json", "-o", str(out)], cwd=tmp_path, check=True
    )
    [row] = json.loads(out.read_text())["predictions"]
    assert (row["width"], row["height"]) == (128, 64)
