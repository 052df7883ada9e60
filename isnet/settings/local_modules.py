"""Python modules beside a config, which its `custom_imports` names: their files, their import."""

import ast
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

from isnet.errors import UserError
from isnet.io.message_text import one_line


def local_files(names: list[str], folder: Path) -> list[Path]:
    """Return the files of modules that lie in `folder`, and of those that they import from there.

    `names` are modules as imported, `losses` or `parts.losses`. `folder` is that of the config.
    Raises UserError if a file is no Python.
    """
    found: set[Path] = set()
    waiting = list(names)
    while waiting:
        for file in _files_of(waiting.pop(), folder):
            if file not in found:
                found.add(file)
                waiting += _imports(file, folder)
    return sorted(found)


def import_modules(names: list[str], folder: Path) -> None:
    """Import modules, which register their components; those in `folder` come first.

    Raises UserError if a module is missing or raises, or another one of its name is imported
    already.
    """
    sys.path.insert(0, str(folder.resolve()))
    try:
        for name in names:
            _import(name, folder)
    finally:
        sys.path.remove(str(folder.resolve()))


def _import(name: str, folder: Path) -> None:
    try:
        module = importlib.import_module(name)
    except Exception as error:  # any code may run
        is_missing = isinstance(error, ModuleNotFoundError) and error.name == name.partition(".")[0]
        raise UserError(
            f"cannot be imported: {type(error).__name__}: {one_line(error, 1000)}",
            where=f"custom_imports: {name}",
            hint=f"Put {name}.py into {folder}, or install it" if is_missing else "Correct it",
        ) from error
    files = _files_of(name, folder)
    if files and Path(str(module.__file__)).resolve() not in [file.resolve() for file in files]:
        raise UserError(
            f"another module of this name is loaded: {module.__file__}",
            where=f"custom_imports: {name}",
            hint=f"Rename {files[-1]}",
        )


def _files_of(name: str, folder: Path) -> list[Path]:
    """Return the file of a module in `folder`, and those of the packages above it."""
    parts, files = name.split("."), []
    for length in range(1, len(parts) + 1):
        place = folder.joinpath(*parts[:length])
        choices = (place / "__init__.py", place.with_suffix(".py"))
        files += [file for file in choices if file.is_file()][:1]
    return files


def _imports(file: Path, folder: Path) -> Iterator[str]:
    """Yield the modules that a file imports, absolute or relative."""
    try:
        tree = ast.parse(file.read_text("utf-8"))
    except (SyntaxError, ValueError) as error:
        raise UserError(f"is no Python: {error}", where=str(file), hint="Correct it") from error
    package = file.parent.relative_to(folder).parts
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join((*above, *filter(None, [node.module])))
            yield base
            yield from (f"{base}.{alias.name}".lstrip(".") for alias in node.names)
