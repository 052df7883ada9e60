"""What the files of `workflow/` import, under names that stay.

Projects of `isnet new` have copies of these files, which must work with later versions.
"""

from isnet.errors import UserError
from isnet.machine.gpus import visible_gpus
from isnet.machine.host_resources import usable_cores
from isnet.pipeline.pulled_trainings import adopt_pulled_trainings
from isnet.settings.params import NAME_PATTERN, load_params
from isnet.settings.plan import Plan

__all__ = [
    "NAME_PATTERN",
    "Plan",
    "UserError",
    "adopt_pulled_trainings",
    "load_params",
    "usable_cores",
    "visible_gpus",
]
