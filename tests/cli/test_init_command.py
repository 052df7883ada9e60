"""`isnet init`: a folder becomes a description and a run that the pipeline accepts."""

from __future__ import annotations

from collections import Counter
from difflib import ndiff
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from ruamel.yaml import YAML
from tiff_files import encode_tiff

from isnet.cli import main
from isnet.data.inspection import folder_inspection, proposal
from isnet.data.inspection.proposal import propose_run
from isnet.pipeline import run_memory
from isnet.records.dataset_records import Manifest
from isnet.settings.experiment import resolve
from isnet.settings.params import Run, load_params
from isnet.settings.plan import Plan


@pytest.fixture(autouse=True)
def _known_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take no seconds for estimates."""
    monkeypatch.setattr(run_memory, "_estimate_apart", lambda planned: 1 << 20)


def write(path: Path, values: object, palette: list[int] | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(np.asarray(values, np.uint8))
    if palette:
        image.putpalette(palette)
    image.save(path)


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """Six photographs with masks of 0, 1 and 255, and the names of the classes."""
    root = tmp_path / "my pets"
    mask = np.zeros((48, 64), np.uint8)
    mask[8:24], mask[40:] = 1, 255
    for number in range(6):
        write(root / f"photos/{number}.jpg", np.full((48, 64, 3), 40 * number))
        write(root / f"masks/{number}_mask.png", mask)
    (root / "classes.txt").write_text("floor\ncat\n")
    return root


def test_a_folder_becomes_a_run_that_converts(
    checkout: Path, pets: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (checkout / "params.yaml").read_text()
    inner = pets.parent / "1/2/3"
    inner.mkdir(parents=True)
    (checkout / "link").symlink_to(inner)
    assert main(["init", "pets", f"link/../../../{pets.name}", "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert (checkout / "params.yaml").read_text() == before
    assert not (checkout / "datasets/pets.yaml").exists()

    assert main(["init", "pets", f"../{pets.name}"]) == 0
    told = capsys.readouterr().out
    assert "pairs: 6, photos/{name}.jpg with masks/{name}_mask.png" in told
    assert "sizes: 6 of 64x48" in told
    assert " at a time take about 0.0 GiB; possible are " in told
    rows = [line.split() for line in told.splitlines()]
    assert ["cat", "1", "33.33%"] in rows
    assert ["(ignored)", "255", "16.67%"] in rows
    assert (checkout / "datasets/pets.yaml").read_text() in shown
    text = (checkout / "params.yaml").read_text()
    marked = [line for line in ndiff(before.splitlines(), text.splitlines()) if line[0] != " "]
    assert {line[0] for line in marked} == {"+"}

    plan = Plan.of(load_params())
    assert plan.params.datasets["pets"].source == (str(pets),)  # type: ignore[union-attr]
    assert plan.run("pets_isnet").experiment.num_classes == 2
    for stage in ("download", "convert"):
        assert main([stage, "--dataset", "pets"]) == 0
    again = main(["init", "pets", str(pets)])
    assert again == 2
    assert "nothing is overwritten" in capsys.readouterr().err
    assert (checkout / "params.yaml").read_text() == text


def test_a_batch_without_room_is_divided(
    checkout: Path, pets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_memory, "_estimate_apart", lambda run: run.batch.per_process << 30)
    monkeypatch.setattr(run_memory, "free_memory_bytes", lambda: 2 << 30)
    assert main(["init", "pets", str(pets)]) == 0
    batch = Plan.of(load_params()).run("pets_isnet").batch
    assert (batch.per_process, batch.accumulation > 1) == (1, True)


def test_folders_that_lie_apart_are_given_by_flags(checkout: Path, pets: Path) -> None:
    (pets / "more").mkdir()
    (pets / "masks").rename(pets / "more" / "drawn")
    arguments = ["--images", str(pets / "photos"), "--labels", str(pets / "more" / "drawn")]
    assert main(["init", "pets", *arguments]) == 0
    assert load_params().datasets["pets"].source == (str(pets),)  # type: ignore[union-attr]
    assert "label: more/drawn/{name}_mask.png" in (
        (checkout / "datasets/pets.yaml").read_text().replace("'", "")
    )


def test_labels_of_two_forms_are_refused_in_one_line(
    checkout: Path, pets: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (checkout / "params.yaml").read_text()
    write(pets / "masks/3_mask.png", np.zeros((48, 64)), palette=[0, 0, 0, 255, 0, 0])
    assert main(["init", "pets", str(pets)]) == 2
    error = capsys.readouterr().err
    assert "several forms: ids (masks/0_mask.png), palette (masks/3_mask.png)" in error
    assert error.count("\n") == 1
    assert (checkout / "params.yaml").read_text() == before
    assert not (checkout / "datasets/pets.yaml").exists()


def test_grey_masks_are_ids_with_or_without_three_channels(
    checkout: Path, pets: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = pets / "masks/3_mask.png"
    Image.open(file).convert("RGB").save(file)
    assert main(["init", "pets", str(pets)]) == 0
    assert "labels: ids, every file read" in capsys.readouterr().out
    for stage in ("download", "convert"):
        assert main([stage, "--dataset", "pets"]) == 0
    write(file, np.full((48, 64, 3), (1, 0, 0)))
    assert main(["init", "other", str(pets)]) == 2
    assert "3_mask.png: has mode RGB with colours, which `label_form: ids`" in (
        capsys.readouterr().err
    )


def test_the_proposal_follows_sizes_images_classes_and_gpus() -> None:
    shares = {"floor": 0.9975, "crumb": 0.0025}
    small = propose_run("x", {"a": 0.5, "b": 0.5}, 40, Counter({(100, 90): 5}), 0)
    large = propose_run("x", shares, 4000, Counter({(960, 960): 5}), 3)
    overrides = small.fields["overrides"]
    assert overrides["model"]["data_preprocessor"]["size"] == [64, 64]
    assert "evaluation" not in overrides
    assert (small.fields["devices"], large.fields["devices"]) == ("cpu", 2)
    evaluation = large.fields["overrides"]["evaluation"]["single_scale"]
    assert (evaluation["mode"], evaluation["crop_size"][0] <= 320) == ("slide", True)
    assert large.fields["overrides"]["train_cfg"]["max_iters"] >= 10_000
    assert any("median image 960x960" in line for line in large.why)
    assert not any("class_weight" in line for line in small.why)

    hint = large.why[-1].partition("loss_decode: ")[2]
    model = {"decode_head": {"loss_decode": YAML(typ="safe").load(hint)}}
    for config in (proposal._PRETRAINED.config, proposal._FROM_SCRATCH.config):
        run = Run(dataset="x", config=config, devices="cpu", overrides={"model": model})
        losses = resolve("x", run, classes=2).config["model"]["decode_head"]["loss_decode"]
        assert [loss["class_weight"] for loss in losses] == [[1.0, 2.0]] * 2


def test_a_picture_shows_images_under_their_labels(
    checkout: Path, pets: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sheet = checkout / "results/datasets/pets/samples.png"
    assert main(["init", "pets", str(pets), "--dry-run"]) == 0
    assert not sheet.exists()
    assert main(["init", "pets", str(pets)]) == 0
    assert "results/datasets/pets/samples.png" in capsys.readouterr().out
    with Image.open(sheet) as image:
        drawn = np.asarray(image)
    assert drawn.shape == (3 * (48 + 8) + 3 * 16, 2 * 64 + 8, 3)
    row = drawn[:48, 72:].astype(int)
    assert len(np.unique(row.reshape(-1, 3), axis=0)) == 3  # floor, cat, ignored


def test_deep_and_very_large_photographs_are_described(
    checkout: Path,
    pets: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # far below the half of 64x48
    for file in pets.glob("photos/*.jpg"):
        noise = np.random.default_rng(0).integers(0, 4096, (48, 64)).astype(np.uint16)
        Image.fromarray(noise).save(file.with_suffix(".tif"))
        file.unlink()
    assert main(["init", "pets", str(pets)]) == 0
    assert "images: 6 of uint16; `isnet convert` measures" in capsys.readouterr().out
    assert Image.MAX_IMAGE_PIXELS == 100
    monkeypatch.undo()
    with Image.open(checkout / "results/datasets/pets/samples.png") as sheet:
        photo = sheet.crop((0, 0, 64, 48))
    assert photo.getextrema()[0] == (0, 255)  # stretched, not at 1/256 of the values


def test_images_too_large_to_be_decoded_often_are_cut_into_tiles(
    checkout: Path,
    pets: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(folder_inspection, "MAX_PIXELS", 64 * 48 - 1)
    monkeypatch.setattr(folder_inspection, "_TILE", 64)
    for number in range(2):
        write(pets / f"photos/{number}.jpg", np.full((96, 128, 3), 40 * number))
        write(pets / f"masks/{number}_mask.png", np.zeros((96, 128), np.uint8))
    assert main(["init", "pets", str(pets)]) == 0
    told = capsys.readouterr().out
    assert (
        "tile: 64, since images have more than 0 million pixels; 12 tiles are made of them" in told
    )
    assert "median image 64x48" in told
    assert "\ntile: 64\n" in (checkout / "datasets/pets.yaml").read_text()
    for stage in ("download", "convert"):
        assert main([stage, "--dataset", "pets"]) == 0
    manifest = Manifest.read(checkout / "results/datasets/pets/manifest.json")
    assert sum(manifest.images.values()) == 12


def test_bands_are_described_and_are_the_channels_of_the_run(
    checkout: Path, pets: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, file in enumerate(sorted(pets.glob("photos/*.jpg"))):
        noise = np.random.default_rng(number).integers(0, 4096, (48, 64, 4)).astype(np.uint16)
        file.with_suffix(".tif").write_bytes(encode_tiff(noise, 1, extra=(0, 0, 0)))
        file.unlink()
    assert main(["init", "pets", str(pets)]) == 0
    assert "  bands: 4; " in capsys.readouterr().out
    assert "\nbands: 4\n" in (checkout / "datasets/pets.yaml").read_text()
    planned = Plan.of(load_params()).run("pets_isnet")
    assert planned.experiment.config["model"]["backbone"]["in_channels"] == 4
    with Image.open(checkout / "results/datasets/pets/samples.png") as sheet:
        assert sheet.crop((0, 0, 64, 48)).getextrema() == ((0, 255),) * 3


@pytest.mark.parametrize("layout", ["contig", "pages"])
def test_bands_of_a_big_tiff_are_described(layout: str, checkout: Path, pets: Path) -> None:
    for number, file in enumerate(sorted(pets.glob("photos/*.jpg"))):
        noise = np.random.default_rng(number).integers(0, 4096, (48, 64, 4)).astype(np.uint16)
        if layout == "pages":
            noise, options = np.moveaxis(noise, -1, 0), {"photometric": "minisblack"}
        else:
            options = {"photometric": "minisblack", "planarconfig": "contig"}
        tifffile.imwrite(file.with_suffix(".tif"), noise, bigtiff=True, **options)
        file.unlink()
    assert main(["init", "pets", str(pets)]) == 0
    assert "\nbands: 4\n" in (checkout / "datasets/pets.yaml").read_text()
    for stage in ("download", "convert"):
        assert main([stage, "--dataset", "pets"]) == 0


def test_the_no_data_value_of_masks_is_ignored_and_convert_needs_it(
    checkout: Path, pets: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for file in pets.glob("masks/*.png"):
        values = np.asarray(Image.open(file)) % 250  # 255 becomes 5
        Image.fromarray(values).save(file.with_suffix(".tif"), tiffinfo={42113: "5"})
        file.unlink()
    assert main(["init", "pets", str(pets)]) == 0
    told = capsys.readouterr().out
    assert "classes: ignored: 5 (GDAL's no-data value); else write --ignore with" in told
    description = checkout / "datasets/pets.yaml"
    line = "\nignore: {'5': 5}\n"
    assert line in description.read_text()
    description.write_text(description.read_text().replace(line, "\n"))
    assert main(["download", "--dataset", "pets"]) == 0
    assert main(["convert", "--dataset", "pets"]) == 2
    assert "unknown label id 5 in " in capsys.readouterr().err


def test_an_error_while_writing_leaves_both_files_as_they_were(
    checkout: Path, pets: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (checkout / "params.yaml").read_bytes()
    replace = Path.replace

    def fail(path: Path, target: Path) -> Path:
        if target.name == "params.yaml":
            raise OSError(28, "No space left on device")
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", fail)
    assert main(["init", "pets", str(pets)]) == 2
    assert "params.yaml: the disk is full" in capsys.readouterr().err
    assert (checkout / "params.yaml").read_bytes() == before
    assert not (checkout / "datasets/pets.yaml").exists()


def test_params_without_entries_get_their_first(
    checkout: Path, pets: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (checkout / "params.yaml").write_text("datasets:\n  # streets: {kind: streets}\n\nruns: {}\n")
    assert main(["check"]) == 2
    assert "datasets: is empty. Add an entry; `isnet init NAME FOLDER`" in capsys.readouterr().err
    assert main(["init", "pets", str(pets)]) == 0
    assert [*load_params().runs] == ["pets_isnet"]
    assert main(["check"]) == 0
