"""Reads JSON files of annotation tools, which have more keys than are needed."""

import json
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, FiniteFloat, PositiveInt

from isnet.errors import UserError
from isnet.images.image_file import read_file
from isnet.io.yaml_file import validate

Point = Annotated[list[FiniteFloat], "x and y"]
Side = PositiveInt
"""Width or height."""


class Part(BaseModel):
    """Base class of what is read of a file. Other keys are allowed."""

    model_config = ConfigDict(extra="ignore", frozen=True)


Model = TypeVar("Model", bound=Part)


def read_json_file(model: type[Model], path: Path) -> Model:
    """Read a JSON file as a `model`.

    Raises UserError if the file cannot be read, is not valid JSON, or lacks what `model` needs.
    """
    content = read_file(path)
    try:
        tree = json.loads(content)
    except (ValueError, RecursionError) as error:
        what = f"not valid JSON: {error}"
        raise UserError(what, where=str(path), hint="Export it again") from None
    if not isinstance(tree, dict):
        raise UserError("is not a JSON object", where=str(path), hint="Export it again")
    return validate(model, tree, path)
