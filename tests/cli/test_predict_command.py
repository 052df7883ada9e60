"""`isnet predict`, as it is called."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from isnet.cli import main
from isnet.inference import batch_prediction as picture_stream
from isnet.inference import predictor as predictor_module
from isnet.inference.input_images import read_rgb
from isnet.inference.model_loader import open_model
from isnet.inference.predictor import Predictor
from isnet.io.atomic_files import sha256_of


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three images, two of them of one size, in a folder without params.yaml."""
    (tmp_path / "in/deep").mkdir(parents=True)
    random = np.random.default_rng(0)
    for name, size in (("a.png", (32, 48)), ("b.jpg", (32, 48)), ("deep/c.png", (24, 24))):
        pixels = random.integers(0, 256, (*size, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / "in" / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def predict(weights: Path, *arguments: str) -> int:
    return main(["predict", str(weights), *arguments, "--output", "out", "--device", "cpu"])


def stamps(folder: Path) -> dict[str, int]:
    files = (path for path in (folder / "out").rglob("*") if path.is_file())
    return {str(path.relative_to(folder / "out")): path.stat().st_mtime_ns for path in files}


def test_masks_hold_ids_and_colours_and_scores_name_the_images(
    folder: Path, weights: Path, capsys: pytest.CaptureFixture[str]
):
    assert predict(weights, "in", "--overlay") == 0
    names = {"a.png", "a.overlay.jpg", "b.png", "b.overlay.jpg"}
    names |= {"deep/c.png", "deep/c.overlay.jpg", "scores.json"}
    assert set(stamps(folder)) == names
    assert "3 of 3 images predicted" in capsys.readouterr().err
    model = open_model(weights)
    palette = model.metadata.palette
    scores = json.loads(Path("out/scores.json").read_text())
    assert scores["how"]["weights_sha256"] == sha256_of(weights)
    assert scores["provenance"]["run"] == "small"
    for row in scores["images"]:
        wanted = Predictor.of(model).predict([read_rgb(Path(row["image"]))])[0]
        with Image.open(Path("out", row["mask"])) as mask:
            assert mask.mode == "P"
            np.testing.assert_array_equal(np.asarray(mask), wanted.labels)
            colours = np.asarray(mask.convert("RGB"))
        np.testing.assert_array_equal(colours, np.asarray(palette, np.uint8)[wanted.labels])
        assert row["classes"] == wanted.scores
        assert (row["height"], row["width"]) == wanted.labels.shape
        blend = (read_rgb(Path(row["image"])).astype(float) + colours) / 2
        with Image.open(Path("out", row["mask"]).with_suffix(".overlay.jpg")) as overlay:
            assert np.abs(np.asarray(overlay) - blend).mean() < 25


def test_the_same_command_predicts_missing_results(folder: Path, weights: Path):
    assert predict(weights, "in") == 0
    before = stamps(folder)
    Path("out/b.png").unlink()
    os.utime("in/deep/c.png", (1, 1))
    assert predict(weights, "in") == 0
    after = stamps(folder)
    assert {name for name in after if after[name] != before[name]} == {
        "b.png",
        "deep/c.png",
        "scores.json",
    }
    assert len(json.loads(Path("out/scores.json").read_text())["images"]) == 3
    assert predict(weights, "in", "--overlay") == 0
    assert len(stamps(folder)) == 7


def test_other_files_are_not_overwritten(
    folder: Path, weights: Path, capsys: pytest.CaptureFixture[str]
):
    assert predict(weights, "in") == 0
    before = stamps(folder)
    assert predict(weights, "in", "--window", "32x32") == 2
    assert "out/a.png: was predicted by other weights or in another way" in capsys.readouterr().err
    Image.new("L", (4, 4)).save("out/a.png")
    before["a.png"] = Path("out/a.png").stat().st_mtime_ns
    assert predict(weights, "in") == 2
    assert "isnet: out/a.png: is there already" in capsys.readouterr().err
    assert stamps(folder) == before
    Path("out/a.png").unlink()
    Path("out/scores.json").write_text("{}")
    assert predict(weights, "in") == 2
    assert "out/scores.json: is there already" in capsys.readouterr().err


def test_refused_files_are_named_and_the_others_predicted(
    folder: Path, weights: Path, capsys: pytest.CaptureFixture[str]
):
    Path("in/b.jpg").write_text("no image")
    Path("in/aa.png").touch()
    assert predict(weights, "in", "nowhere.png") == 2
    told = capsys.readouterr().err
    assert "refused in/b.jpg: no image" in told and "refused in/aa.png: empty" in told
    assert "refused nowhere.png: No such file" in told
    assert "2 of 5 images predicted, 3 refused" in told
    scores = json.loads(Path("out/scores.json").read_text())
    assert [row["mask"] for row in scores["images"]] == ["in/a.png", "in/deep/c.png"]
    assert [row["image"] for row in scores["refused"]] == ["in/aa.png", "in/b.jpg", "nowhere.png"]


def test_a_jpeg_whose_decoder_only_warns_is_refused_by_name(
    folder: Path, weights: Path, capfd: pytest.CaptureFixture[str]
):
    pixels = np.random.default_rng(0).integers(0, 256, (96, 96, 3)).astype(np.uint8)
    Image.fromarray(pixels).save("in/z.jpg")
    content = Path("in/z.jpg").read_bytes()
    middle = len(content) // 2
    Path("in/z.jpg").write_bytes(content[:middle] + bytes(300) + content[middle + 300 :])
    assert predict(weights, "in") == 2
    told = capfd.readouterr().err
    assert "refused in/z.jpg: damaged (Corrupt JPEG data: " in told
    assert told.count("Corrupt") == 1
    assert "3 of 4 images predicted, 1 refused" in told
    (refused,) = json.loads(Path("out/scores.json").read_text())["refused"]
    assert refused["image"] == "in/z.jpg"


def test_a_picture_that_is_too_small_for_several_scales_stops_no_other(
    folder: Path, weights: Path, capsys: pytest.CaptureFixture[str]
):
    Image.new("RGB", (1, 1)).save("in/0.png")
    assert predict(weights, "in", "--multi-scale") == 2
    told = capsys.readouterr().err
    assert "refused in/0.png: 1x1 pixels cannot be predicted: " in told
    assert "3 of 4 images predicted, 1 refused" in told


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["empty"], "isnet: empty: there are no images"),
        (["empty/none.png"], "isnet: out: nothing is predicted, 1 refused"),
        (["in", "--window", "5"], "isnet: --window: '5' is not a height x width"),
        (["in", "--output", "in/a.png"], "isnet: in/a.png: is no folder"),
        (["in", "--output", "in"], "isnet: in: is the folder of the images"),
    ],
)
def test_wrong_arguments_are_one_line(
    arguments: list[str],
    told: str,
    folder: Path,
    weights: Path,
    capsys: pytest.CaptureFixture[str],
):
    Path("empty").mkdir()
    call = ["predict", str(weights), "--output", "out", "--device", "cpu", *arguments]
    assert main(call) == 2
    assert told in capsys.readouterr().err
    assert not Path("out").exists()


def test_a_gpu_that_is_not_there_is_one_line(
    folder: Path,
    weights: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    call = ["predict", str(weights), "in", "--output", "out", "--device", "gpu"]
    assert main(call) == 2
    assert "isnet: --device gpu: this machine has no GPU" in capsys.readouterr().err


def test_neighbours_of_one_size_share_a_batch_where_batches_are_faster(
    folder: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
):
    sizes = []
    known = Predictor.predict

    def predict_and_note(self: Predictor, images):
        sizes.append([image.shape for image in images])
        return known(self, images)

    monkeypatch.setattr(Predictor, "batch_size", lambda self, size: 2)
    monkeypatch.setattr(Predictor, "predict", predict_and_note)
    assert predict(weights, "in") == 0
    assert sizes == [[(32, 48, 3)] * 2, [(24, 24, 3)]]
    for name in ("a.png", "b.jpg"):
        alone = Predictor.of(open_model(weights)).predict([read_rgb(Path("in", name))])[0]
        with Image.open(f"out/{Path(name).stem}.png") as mask:
            np.testing.assert_array_equal(np.asarray(mask), alone.labels)


def test_a_stopped_command_leaves_whole_files_and_is_continued(
    folder: Path,
    weights: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    read = picture_stream.open_picture

    def read_or_stop(path: Path, *how: Any, **more: Any):
        if path.name == "c.png":
            raise KeyboardInterrupt
        return read(path, *how, **more)

    monkeypatch.setattr(picture_stream, "open_picture", read_or_stop)
    assert predict(weights, "in", "--overlay") == 130
    assert capsys.readouterr().err.endswith("isnet: stopped\n")
    for name in stamps(folder):
        with Image.open(Path("out", name)) as image:
            image.load()
    monkeypatch.setattr(picture_stream, "open_picture", read)
    kept = stamps(folder)
    assert predict(weights, "in", "--overlay") == 0
    assert kept.items() <= stamps(folder).items()


def test_a_tiff_above_the_limit_is_read_and_predicted_by_windows(
    folder: Path,
    weights: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    pixels = np.random.default_rng(0).integers(0, 256, (300, 90, 3), np.uint8)
    tifffile.imwrite(folder / "in/large.tif", pixels, photometric="rgb", tile=(64, 32))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10000)
    monkeypatch.setattr(predictor_module, "MAX_PIXELS", 20000)
    monkeypatch.setattr("isnet.inference.overlays._ROWS", 17)
    monkeypatch.setattr("isnet.inference.input_images.decode_image", lambda *_: 1 / 0)
    assert predict(weights, "in/large.tif", "--overlay") == 0
    assert "images of this size are predicted by windows of 128x256" in capsys.readouterr().err
    assert predict(weights, "in/large.tif", "--overlay") == 0
    assert "1 of 1 images were predicted before" in capsys.readouterr().err
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)  # to read the mask here
    wanted = Predictor.of(open_model(weights), window=(128, 256)).predict([pixels])[0]
    with Image.open("out/large.png") as mask:
        np.testing.assert_array_equal(np.asarray(mask), wanted.labels)
        colours = np.asarray(mask.convert("RGB"))
    with Image.open("out/large.overlay.jpg") as overlay:
        assert np.abs(np.asarray(overlay) - (pixels / 2 + colours / 2)).mean() < 25


@pytest.mark.parametrize("free", [300 * 90 * 4, 300 * 90 * 8])
def test_an_image_or_labels_larger_than_the_memory_are_refused(
    free: int,
    folder: Path,
    weights: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    Image.new("RGB", (90, 300)).save(folder / "in/large.png")
    monkeypatch.setattr("isnet.machine.host_resources.free_memory_bytes", lambda: free)
    assert predict(weights, "in/large.png") == 2
    assert "300x90 pixels do not fit in the free memory" in capsys.readouterr().err
