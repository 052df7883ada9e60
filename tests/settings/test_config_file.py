"""Configs are written as Python source that mmengine reads back."""

from pathlib import Path

import pytest
from mmengine.config import Config

from isnet.settings.config_file import config_source, read_config

CONFIGS = (
    "isnet/configs/isnet_resnest101_8xb2-81840_cityscapes-512x1024.py",
    "isnet/configs/isnet_efficientnet-lite0-d16_1xb4-900_camvid-360x480.py",
)


@pytest.mark.parametrize("file", CONFIGS)
def test_the_source_of_a_config_reads_back_as_the_config(file: str) -> None:
    config = read_config(Path(file), "test")
    source = config_source(config)
    read = Config.fromstring(source, ".py").to_dict()
    assert read == config
    assert repr(read) == repr(config)  # tuples stay tuples
