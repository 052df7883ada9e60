import itertools
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from made_once import made_once
from numpy.typing import NDArray
from official_models import random_tensors
from PIL import Image
from small_weights import write_small_weights
from timm.layers import padding

from isnet import cli
from isnet.cli.commands.export import record_of
from isnet.data.streets import StreetsSettings, paint_scene
from isnet.errors import UserError
from isnet.extras import EXTRAS, install_command
from isnet.inference.export import export_check, exported_network
from isnet.inference.export.export_check import given_images, images_of_run
from isnet.inference.export.exported_network import (
    ExportedNetwork,
    export_metadata,
    export_program,
    run_eagerly,
)
from isnet.inference.export.onnx_file import load_onnx
from isnet.inference.model_loader import TrainedModel, open_model
from isnet.inference.predictor import Predictor
from isnet.io.atomic_files import sha256_of, write_json

FITTED = {"type": "Resize", "scale": (256, 96), "keep_ratio": True}
SQUEEZED = {"type": "Resize", "scale": (113, 97), "keep_ratio": False}
SIZES = [(1, 96, 160), (1, 77, 131), (2, 45, 61), (3, 33, 18), (1, 16, 201), (1, 16, 1000)]

ONNX_ALONE = """
import json, sys
import numpy as np, onnxruntime
from PIL import Image
session = onnxruntime.InferenceSession(sys.argv[1])
pixels = np.asarray(Image.open(sys.argv[2]).convert("RGB"))
labels, confidence = session.run(None, {"image": pixels.transpose(2, 0, 1)[None]})
assert not {"torch", "isnet", "mmseg", "mmengine"} & set(sys.modules)
facts = session.get_modelmeta().custom_metadata_map
np.savez(sys.argv[3], labels=labels[0], confidence=confidence[0], facts=json.dumps(facts))
"""
TORCH_ALONE = """
import json, sys
import numpy as np, torch
from PIL import Image
facts = dict.fromkeys(["classes", "palette", "weights_sha256", "provenance"], "")
network = torch.export.load(sys.argv[1], extra_files=facts).module()
pixels = np.asarray(Image.open(sys.argv[2]).convert("RGB"))
image = torch.from_numpy(pixels.transpose(2, 0, 1)[None].copy())
labels, confidence = network(image)
assert not {"isnet", "mmseg", "mmengine", "onnxruntime"} & set(sys.modules)
facts = {key: value if isinstance(value, str) else value.decode() for key, value in facts.items()}
np.savez(sys.argv[3], labels=labels[0], confidence=confidence.detach()[0], facts=json.dumps(facts))
"""


def write_decided(file: Path, resize: list[dict[str, Any]]) -> Path:
    """Write an untrained network that finds different classes in different places."""
    write_small_weights(file)
    content = torch.load(file, weights_only=True)
    content["meta"]["isnet"]["resize"] = resize
    content["state_dict"] = random_tensors(content["state_dict"])
    torch.save(content, file)
    return file


@pytest.fixture(scope="module")
def resizing_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    def make(folder: Path) -> None:
        write_decided(folder / "weights.pth", [FITTED])

    return made_once(tmp_path_factory, "resizing", make) / "weights.pth"


def paint_street(height: int, width: int) -> NDArray[np.uint8]:
    """Paint a scene of any size, also one below the smallest of a data set."""
    settings = StreetsSettings().model_copy(update={"width": width, "height": height})
    return paint_scene(settings, "val", 0)[0]


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("street") / "street.png"
    Image.fromarray(paint_street(101, 203)).save(file)
    return file


def exported(weights: Path, form: str, folder: Path, street: Path) -> Path:
    file = folder / {"onnx": "model.onnx", "torch": "model.pt2"}[form]
    given = ["export", str(weights), "--format", form, "--output", str(file)]
    assert cli.main([*given, "--check", str(street)]) == 0
    return file


@pytest.fixture(scope="module")
def onnx_file(
    resizing_weights: Path, street: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    def make(folder: Path) -> None:
        exported(resizing_weights, "onnx", folder, street)

    return made_once(tmp_path_factory, "onnx", make) / "model.onnx"


def run_alone(program: str, file: Path, street: Path, folder: Path) -> Any:
    found = folder / "found.npz"
    command = [sys.executable, "-c", program, str(file), str(street), str(found)]
    subprocess.run(command, check=True, cwd=folder)
    return np.load(found)


def assert_as_predicted(
    labels: NDArray[np.uint8], confidence: NDArray[np.float32], model: TrainedModel, street: Path
) -> None:
    """The evaluation's resize rounds bytes in its own way, so with one a few borders may move."""
    expected = Predictor.of(model).predict([np.asarray(Image.open(street))])[0]
    assert len(np.unique(expected.labels)) > 5, "the network must tell something apart"
    difference = np.abs(confidence - expected.confidence)
    if model.metadata.resize:
        assert (labels == expected.labels).mean() > 0.985 and difference.mean() < 1e-3
    else:
        assert (labels == expected.labels).mean() > 0.9999 and difference.max() < 1e-5


def assert_facts(facts: dict[str, str], model: TrainedModel) -> None:
    assert facts["weights_sha256"] == model.sha256
    assert json.loads(facts["classes"]) == model.metadata.classes
    assert json.loads(facts["palette"]) == [list(one) for one in model.metadata.palette]
    assert json.loads(facts["provenance"])["run"] == "small"


def test_the_images_of_a_folder_are_those_of_predict(tmp_path: Path) -> None:
    """Without the hidden files that file managers leave beside them."""
    (tmp_path / "day").mkdir()
    Image.new("RGB", (64, 64)).save(tmp_path / "day/a.png")
    (tmp_path / "._a.png").write_bytes(b"litter")
    assert len(given_images([tmp_path])[0]) == 1
    (tmp_path / "day/a.png").unlink()
    with pytest.raises(UserError, match="there is no image"):
        given_images([tmp_path])


def test_of_a_large_image_the_middle_is_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (90, 200, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    monkeypatch.setattr(export_check, "_MAX_SIDE", 100)
    [image], _ = given_images([tmp_path])
    np.testing.assert_array_equal(image[0].permute(1, 2, 0), pixels[:, 50:150])


def test_an_onnx_file_needs_onnxruntime_alone_and_predicts_as_isnet(
    onnx_file: Path, resizing_weights: Path, street: Path, tmp_path: Path
):
    found = run_alone(ONNX_ALONE, onnx_file, street, tmp_path)
    model = open_model(resizing_weights)
    assert_as_predicted(found["labels"], found["confidence"], model, street)
    assert_facts(json.loads(str(found["facts"])), model)


def test_a_program_needs_torch_alone_and_predicts_as_isnet(
    street: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    weights = write_decided(tmp_path / "weights.pth", [])
    file = exported(weights, "torch", tmp_path, street)
    lines = [line for text in capfd.readouterr() for line in text.splitlines()]
    assert len(lines) >= 3 and all(line.startswith("[export weights.pth] ") for line in lines)
    found, model = run_alone(TORCH_ALONE, file, street, tmp_path), open_model(weights)
    assert_as_predicted(found["labels"], found["confidence"], model, street)
    assert_facts(json.loads(str(found["facts"])), model)


def test_the_graph_squeezes_as_the_evaluation_does(street: Path, tmp_path: Path):
    model = open_model(write_decided(tmp_path / "weights.pth", [SQUEEZED]))
    pixels = np.asarray(Image.open(street)).transpose(2, 0, 1)
    labels, sure = run_eagerly(ExportedNetwork(model).eval())(torch.from_numpy(pixels.copy())[None])
    assert_as_predicted(labels[0].numpy(), sure[0].numpy(), model, street)


def test_one_file_takes_any_size_and_any_number_of_images(onnx_file: Path, resizing_weights: Path):
    in_torch = run_eagerly(ExportedNetwork(open_model(resizing_weights)).eval())
    in_file = load_onnx(onnx_file, "weights")
    for number, height, width in SIZES:
        image = torch.from_numpy(paint_street(height, width).transpose(2, 0, 1).copy())
        batch = torch.stack([image.roll(step, 2) for step in range(number)])
        (labels, sure), (other, other_sure) = in_torch(batch), in_file(batch)
        assert other.shape == other_sure.shape == (number, height, width)
        assert (labels == other).float().mean() > 0.9995
        assert (sure - other_sure).abs().max() < export_check.TOLERANCE


def test_the_record_holds_the_measurements(onnx_file: Path, resizing_weights: Path):
    record = json.loads(record_of(onnx_file).read_text())
    assert record["format"] == "onnx" and record["opset"] == 18 and record["run"] == "small"
    assert record["bytes"] == onnx_file.stat().st_size
    assert record["weights_sha256"] == open_model(resizing_weights).sha256
    assert record["runtime"].startswith("onnxruntime ")
    assert record["input"] == [101, 203] and record["checked_on"] == "1 given image"
    assert 0 < record["max_abs_difference"] < record["tolerance"]
    assert record["least_labels_agree"] <= record["labels_agree"] <= 1
    assert record["torch_images_per_second"] > 0 and record["exported_images_per_second"] > 0


def test_a_file_of_other_weights_is_not_overwritten(
    onnx_file: Path, weights: Path, capfd: pytest.CaptureFixture[str]
):
    before = onnx_file.stat()
    assert cli.main(["export", str(weights), "--output", str(onnx_file)]) == 2
    assert "not of these weights" in capfd.readouterr().err
    assert onnx_file.stat().st_mtime_ns == before.st_mtime_ns


def test_a_file_with_other_outputs_does_not_replace_a_correct_one(
    weights: Path,
    street: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
):
    def road(image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        shape = (len(image), *image.shape[2:])
        return torch.zeros(shape, dtype=torch.uint8), torch.ones(shape)

    any_program = torch.export.export(torch.nn.Identity(), (torch.zeros(1),))
    monkeypatch.setattr(exported_network, "export_program", lambda network, where: any_program)
    monkeypatch.setattr(exported_network, "load_program", lambda file: road)
    file = tmp_path / "model.pt2"
    file.write_bytes(b"before")
    write_json(record_of(file), {"weights_sha256": sha256_of(weights)})
    given = ["export", str(weights), "--format", "torch", "--output", str(file)]
    assert cli.main([*given, "--check", str(street)]) == 2
    assert "was not written: its confidence differs" in capfd.readouterr().err
    assert file.read_bytes() == b"before"
    assert sorted(tmp_path.iterdir()) == [file, record_of(file)]


def test_the_default_images_are_those_of_the_runs_data_set(
    tmp_path: Path, street: Path, monkeypatch: pytest.MonkeyPatch
):
    entries = [{"image": f"{index}.png"} for index in range(6)]
    for entry in entries:
        shutil.copy(street, tmp_path / entry["image"])
    manifest = {"digest": "d", "image_root": ".", "splits": {"val": entries}}
    write_json(tmp_path / "results/datasets/streets/manifest.json", manifest)
    shutil.copy("params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ISNET_DATA", str(tmp_path))
    found = images_of_run({"dataset": "streets", "manifest_digest": "d"})
    assert found is not None and len(found[0]) == 4
    assert found[1] == "the first 4 validation images of streets"
    assert torch.equal(found[0][0], given_images([street])[0][0])
    assert images_of_run({"dataset": "streets", "manifest_digest": "other"}) is None
    assert images_of_run({"dataset": "../streets", "manifest_digest": "d"}) is None
    assert images_of_run({}) is None


@pytest.mark.parametrize("value", [float("nan"), 0.5])
def test_a_confidence_that_is_nan_or_far_off_is_not_close(value: float):
    def one(image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        shape = (len(image), *image.shape[2:])
        return torch.zeros(shape, dtype=torch.uint8), torch.ones(shape)

    def other(image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        labels, sure = one(image)
        sure[0, -1, -1] = value
        return labels, sure

    image = torch.zeros(1, 3, 40, 40, dtype=torch.uint8)
    assert export_check.compare_outputs(one, one, [image]).is_close
    assert not export_check.compare_outputs(one, other, [image]).is_close


def by_shortest_edge(meta: dict[str, Any]) -> None:
    meta["isnet"]["resize"] = [{"type": "ResizeShortestEdge", "scale": 64, "max_size": 128}]


def padded(meta: dict[str, Any]) -> None:
    meta["isnet"]["model"]["data_preprocessor"]["test_cfg"] = {"size_divisor": 32}


@pytest.mark.parametrize(
    ("change", "told"), [(by_shortest_edge, "ResizeShortestEdge"), (padded, "padding of images")]
)
def test_an_unsupported_step_is_refused(
    change: Callable[[dict[str, Any]], None], told: str, tmp_path: Path
):
    model = open_model(write_small_weights(tmp_path / "weights.pth", change))
    with pytest.raises(UserError, match=told):
        ExportedNetwork(model)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["--output", "x.pt2"], "does not end with .onnx"),
        (["--check", "nowhere.png"], "No such file"),
        (["--check", "README.md"], "README.md: no image, or a damaged one"),
    ],
)
def test_wrong_arguments_are_refused_in_one_line(
    given: list[str], told: str, weights: Path, capfd: pytest.CaptureFixture[str]
):
    assert cli.main(["export", str(weights), *given]) == 2
    error = capfd.readouterr().err
    assert told in error and error.count("\n") == 1


def test_missing_packages_are_named_with_the_command_that_brings_them(
    weights: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    monkeypatch.setitem(EXTRAS, "export", ("onnx", "no_such_package"))
    assert cli.main(["export", str(weights)]) == 2
    expected = f"needs no_such_package. Run {install_command('no_such_package')}"
    assert expected in capfd.readouterr().err


def test_a_network_that_onnx_runtime_cannot_run_is_one_line(tmp_path: Path) -> None:
    import onnx
    from onnx import helper

    shape = [1, 3, "height", "width"]
    image = helper.make_tensor_value_info("image", onnx.TensorProto.UINT8, shape)
    outputs = [
        helper.make_tensor_value_info(name, onnx.TensorProto.UINT8, None)
        for name in ("labels", "confidence")
    ]
    place = helper.make_tensor("place", onnx.TensorProto.INT64, [1, 1], [7])
    nodes = [helper.make_node("GatherND", ["image", "place"], [one.name]) for one in outputs]
    graph = helper.make_graph(nodes, "wrong", [image], outputs, [place])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, tmp_path / "wrong.onnx")
    run = load_onnx(tmp_path / "wrong.onnx", "weights.pth")
    with pytest.raises(
        UserError, match=r"weights\.pth: ONNX Runtime cannot run .*GatherND"
    ) as told:
        run(torch.zeros(1, 3, 8, 8, dtype=torch.uint8))
    assert str(told.value).count("\n") == 0
    assert str(told.value).endswith("Export it with --format torch")


def test_a_network_with_tensorflows_padding_is_exported_from_32_pixels_on(tmp_path: Path) -> None:
    config = Path("isnet/configs/isnet_efficientnet-lite0-d16_1xb4-900_camvid-360x480.py")
    weights = write_small_weights(tmp_path / "weights.pth", config=config)
    network = ExportedNetwork(open_model(weights)).eval()
    program = export_program(network, str(weights)).module()
    for size in [(1, 32, 57), (3, 61, 96)]:
        image = torch.randint(256, (size[0], 3, *size[1:]), dtype=torch.uint8)
        for ours, theirs in zip(program(image), run_eagerly(network)(image), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)
    assert "H and W at least 32" in export_metadata(open_model(weights))["input"]


@pytest.mark.parametrize("stride", [1, 2, 3, 4])
def test_the_padding_in_integers_is_timms(stride: int) -> None:
    usual = padding.get_same_padding
    with exported_network._padding_in_integers():
        assert padding.get_same_padding is not usual
        for settings in itertools.product(range(1, 40), (1, 2, 3, 5), (stride,), (1, 2)):
            assert padding.get_same_padding(*settings) == usual(*settings)
    assert padding.get_same_padding is usual
