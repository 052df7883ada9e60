"""Files of a project that the package brings: `isnet new` lays them out.

They lie at the root of the repository, which is a project itself. `setup.py` puts them into
wheels, below `isnet/project`.
"""

from pathlib import Path

from isnet.errors import UserError

WHEEL_FOLDER = "project"
"""Where a wheel has the files, below the package."""

USER_FILES = (
    *("params.yaml", ".gitignore", ".dvc/config"),
    *("profiles/default/*.yaml", "profiles/slurm/*.yaml"),
)
"""Patterns of the files that a user edits."""

WORKFLOW_FILES = (
    *(
        "Snakefile",
        "workflow/*/*",
        "dvc.yaml",
        ".dvcignore",
        ".dvc/.gitignore",
        ".dvc/plots/*.json",
    ),
    *("config/README.md", "configs/README.md", "datasets/example.yaml"),
    *("BENCHMARKS.md", "docs/architecture.md", "docs/how-to/*.md", "docs/reference/*"),
)
"""Patterns of all others. What users add to `configs/` and `datasets/` is in no new project."""

_PACKAGE = Path(__file__).parents[1]


def find_files(root: Path, *patterns: str) -> dict[str, Path]:
    """Return the files below `root` that have the `patterns`, by their relative paths."""
    found = [file for pattern in patterns for file in sorted(root.glob(pattern)) if file.is_file()]
    return {file.relative_to(root).as_posix(): file for file in found}


def project_files(*patterns: str) -> dict[str, Path]:
    """Return the files of a new project, by their paths in it: in a clone, the clone's own.

    Raises UserError if the installed package lacks them.
    """
    in_wheel = _PACKAGE / WHEEL_FOLDER
    root = in_wheel if in_wheel.is_dir() else _PACKAGE.parent
    files = find_files(root, *patterns)
    if "Snakefile" not in find_files(root, *WORKFLOW_FILES):
        raise UserError(
            "this installation lacks the files of a project",
            where=str(_PACKAGE),
            hint="Install the wheel, or a clone with `pip install --editable`",
        )
    return files
