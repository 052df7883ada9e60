"""Generated street scenes in the folder format of Cityscapes: a data set that needs no download.

All 19 evaluated classes and the usual void ones occur. Colours are ambiguous on purpose (see
`scene`), so that a per-pixel classifier does badly and context helps.
"""

from isnet.data.streets.generator import generate_streets
from isnet.data.streets.street import paint_scene
from isnet.settings.params import StreetsSettings

__all__ = ["StreetsSettings", "generate_streets", "paint_scene"]
