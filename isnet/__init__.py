"""ISNet for semantic segmentation: a model for mmseg, and a pipeline around it.

Importing `isnet` costs next to nothing (no torch), and yet makes its components known to mmseg's
registries, in whatever order the two are imported: `custom_imports=dict(imports=['isnet'])` is all
that a config needs.
"""

from __future__ import annotations

import sys

from isnet.announce import Announcer, announce

__all__ = ["__version__"]
__version__ = "0.1.0"

if "mmseg.registry" in sys.modules:
    announce(sys.modules["mmseg.registry"])
else:
    sys.meta_path.insert(0, Announcer())
