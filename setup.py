"""Puts the files of a project, which lie at the root of the repository, into wheels and sdists."""

import os
import sys
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
sys.path.insert(0, str(ROOT))

from isnet.settings.project_files import (  # noqa: E402
    USER_FILES,
    WHEEL_FOLDER,
    WORKFLOW_FILES,
    find_files,
)

NAMES = list(find_files(ROOT, *USER_FILES, *WORKFLOW_FILES))


class BuildWithProjectFiles(build_py):
    """Builds the package with the files that `isnet new` lays out."""

    def _get_data_files(self):
        target = os.path.join(self.build_lib, "isnet", WHEEL_FOLDER)  # noqa: PTH118
        return [*super()._get_data_files(), ("isnet", os.curdir, target, NAMES)]

    def get_source_files(self):
        """Return the files that belong into an sdist."""
        return [*super().get_source_files(), *NAMES]


setup(cmdclass={"build_py": BuildWithProjectFiles})
