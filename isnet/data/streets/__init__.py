"""Generates a data set of synthetic street scenes in the folder format of Cityscapes.

This data set needs no download. All 19 evaluated classes and the usual void classes occur. Colours
are ambiguous on purpose (see `scene`), so that a classifier of single pixels does badly and context
helps.
"""

from isnet.data.streets.generator import generate_streets
from isnet.data.streets.street import paint_scene
from isnet.settings.params import StreetsSettings

__all__ = ["StreetsSettings", "generate_streets", "paint_scene"]
