"""The tables of published data sets say what their publishers, and mmseg, say."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import mmseg.datasets
import numpy as np
import pytest
from PIL import Image

from isnet.data.catalog import IGNORE, LabelTable
from isnet.data.convert.label_lookup import LabelLookup
from isnet.settings.dataset_lookup import table_of
from isnet.settings.params import CocoStuffDataset, PublishedDataset

MMSEG = {
    "ade20k": mmseg.datasets.ADE20KDataset,
    "cityscapes": mmseg.datasets.CityscapesDataset,
    "lip": mmseg.datasets.LIPDataset,
}


def _table(name: str) -> LabelTable:
    return table_of(PublishedDataset(kind=name))


def _coco(classes: int) -> LabelTable:
    return table_of(CocoStuffDataset(kind="cocostuff10k", classes=classes))


def _equals_metainfo(table: LabelTable, dataset: type) -> None:
    names = [name.strip() for name in dataset.METAINFO["classes"]]  # mmseg has "bed "
    assert list(table.classes) == names
    assert list(table.palette) == [tuple(color) for color in dataset.METAINFO["palette"]]


@pytest.mark.parametrize("name", MMSEG)
def test_classes_and_colours_are_those_of_mmseg_in_its_order(name: str) -> None:
    _equals_metainfo(_table(name), MMSEG[name])


def test_ade20k_ignores_0_and_lowers_all_others_by_1() -> None:
    assert _table("ade20k").train_id == {0: 255} | {raw: raw - 1 for raw in range(1, 151)}


def test_lip_is_taken_as_it_is_with_its_background() -> None:
    table = _table("lip")
    assert table.train_id == {raw: raw for raw in range(20)}
    assert table.flip_pairs == ((14, 15), (16, 17), (18, 19))
    for left, right in table.flip_pairs:
        assert table.classes[left].replace("Left", "Right") == table.classes[right]


def test_camvid_ignores_what_is_unlabelled() -> None:
    table = _table("camvid")
    assert table.train_id == {raw: raw for raw in range(11)} | {11: 255}
    # SegNet-Tutorial, Scripts/test_segmentation_camvid.py
    assert table.palette[0] == (128, 128, 128)
    assert table.palette[8] == (64, 0, 128)


def _mmseg_converter(name: str) -> ModuleType:
    place = Path(mmseg.__file__).parent / f".mim/tools/dataset_converters/{name}.py"
    spec = importlib.util.spec_from_file_location(name, place)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_cocostuff_with_182_classes_lowers_ids_by_1_as_the_official_model() -> None:
    table = _coco(182)
    assert len(table.classes) == 182
    assert table.train_id == {0: 255} | {raw: raw - 1 for raw in range(1, 183)}


def test_cocostuff_with_171_classes_is_mmsegs_table_and_names() -> None:
    table = _coco(171)
    # mmseg packs to 1..171, and lowers by 1 when it reads (reduce_zero_label).
    packed = _mmseg_converter("coco_stuff10k").clsID_to_trID
    assert table.train_id == {raw: IGNORE if to == 0 else to - 1 for raw, to in packed.items()}
    _equals_metainfo(table, mmseg.datasets.COCOStuffDataset)


def test_both_forms_of_cocostuff_name_an_id_alike() -> None:
    short, long = _coco(171), _coco(182)
    for raw, train_id in short.train_id.items():
        if train_id != IGNORE:
            assert short.classes[train_id] == long.classes[long.train_id[raw]]


def test_cityscapes_train_ids_equal_the_official_table_id_by_id() -> None:
    official = pytest.importorskip("cityscapesscripts.helpers.labels").labels
    table = _table("cityscapes")
    wanted = {label.id: label.trainId for label in official if label.id >= 0}
    assert table.train_id == {
        raw: train_id if 0 <= train_id < 19 else 255 for raw, train_id in wanted.items()
    }
    for label in official:
        if 0 <= label.trainId < 19:
            assert table.classes[label.trainId] == label.name
            assert table.palette[label.trainId] == label.color


def _official_confusion(module: ModuleType, predicted: Path, truth: Path) -> np.ndarray:
    """Count as the official evaluator does, by what it reads of the two files."""
    confusion = module.generateMatrix(module.args)
    module.args.quiet, module.args.evalInstLevelScore = True, False
    statistics = module.generateInstanceStats(module.args)
    module.evaluatePair(str(predicted), str(truth), confusion, statistics, {}, module.args)
    return confusion


def test_converted_cityscapes_labels_are_what_the_official_evaluator_reads(tmp_path: Path) -> None:
    """Truth given back as prediction scores 1, a permuted one as it does in our train ids."""
    module = pytest.importorskip("cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling")
    raw = np.random.default_rng(0).integers(0, 34, (60, 80)).astype(np.uint8)
    train, *_ = LabelLookup(_table("cityscapes"))(raw, tmp_path)
    back = np.zeros(256, np.uint8)  # 0: what is ignored
    for raw_id, train_id in _table("cityscapes").train_id.items():
        if train_id != IGNORE:
            back[train_id] = raw_id
    truth, same, other = (tmp_path / f"{name}_gtFine_labelIds.png" for name in "abc")
    permuted = np.where(train == IGNORE, IGNORE, (train + 7) % 19).astype(np.uint8)
    for file, pixels in ((truth, raw), (same, back[train]), (other, back[permuted])):
        Image.fromarray(pixels).save(file)

    confusion = _official_confusion(module, same, truth)
    for raw_id, train_id in _table("cityscapes").train_id.items():
        if train_id != IGNORE:
            assert module.getIouScoreForLabel(raw_id, confusion, module.args) == 1.0

    confusion = _official_confusion(module, other, truth)
    scored = back[:19]
    ours = np.zeros((19, 19), np.int64)
    np.add.at(ours, (train[train != IGNORE], permuted[train != IGNORE]), 1)
    np.testing.assert_array_equal(confusion[np.ix_(scored, scored)], ours)
