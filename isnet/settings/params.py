"""params.yaml: the one file a user edits, read into typed objects or refused with one line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    field_validator,
)

from isnet.errors import UserError
from isnet.io.yaml_file import StrictModel, read_yaml, suggest, validate

__all__ = [
    "NAME_PATTERN",
    "CocoStuffDataset",
    "Dataset",
    "Devices",
    "FolderDataset",
    "Params",
    "Precision",
    "PublishedDataset",
    "RemoteSource",
    "Run",
    "Speed",
    "StreetsDataset",
    "flatten",
    "load_params",
    "params_of",
]

NAME_PATTERN = r"[A-Za-z0-9][A-Za-z0-9_-]*"
"""Names of runs and data sets: they become folders, Snakemake wildcards, DVC stages and MLflow run
names.
"""


class Devices(StrictModel):
    """Where a run trains: `nodes` x `per_node` processes, each on a GPU, or on the CPU."""

    kind: Literal["cpu", "gpu"]
    nodes: int = 1
    per_node: int = 1

    @property
    def processes(self) -> int:
        """Number of training processes over all nodes."""
        return self.nodes * self.per_node

    @property
    def gpus(self) -> int:
        """GPUs on each node."""
        return self.per_node if self.kind == "gpu" else 0

    def __str__(self) -> str:
        each = str(self.per_node)
        if self.kind == "cpu":
            each = "cpu" if self.per_node == 1 else f"cpu:{self.per_node}"
        return f"{self.nodes}x{each}" if self.nodes > 1 else each


def _parse_devices(value: Any) -> Any:
    match = re.fullmatch(r"(?:([1-9]\d*)x)?(?:(cpu)(?::([1-9]\d*))?|([1-9]\d*))", str(value))
    if isinstance(value, bool) or not match:
        raise ValueError(
            f"{value!r} is no topology; write cpu, cpu:2 (two processes), 4 (GPUs) "
            "or 2x4 (nodes x GPUs)"
        )
    nodes, cpu, cpu_processes, gpus = match.groups()
    if cpu:
        return Devices(kind="cpu", nodes=int(nodes or 1), per_node=int(cpu_processes or 1))
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


class StreetsSettings(StrictModel):
    """How many street scenes are generated, how large, and from which seed."""

    train: int = Field(320, ge=1, le=100_000)
    """Images to train on."""
    val: int = Field(64, ge=1, le=100_000)
    """Images to score."""
    width: int = Field(256, ge=64, le=4096)
    """Of each image, in pixels."""
    height: int = Field(128, ge=64, le=4096)
    """Of each image, in pixels."""
    seed: int = Field(0, ge=0, le=2**31 - 1)
    """Another seed gives other scenes."""


class _Stored(StrictModel):
    store: bool = True
    """Whether decoded images are packed for fast reading, where the disk has room."""


class StreetsDataset(_Stored):
    """Generated street scenes in the Cityscapes folder format; needs nothing."""

    kind: Literal["streets"]
    """What the data set is; it decides which other keys there are."""
    settings: StreetsSettings = StreetsSettings()
    """What is generated."""


def _no_credentials(value: str) -> str:
    """Keep passwords out of a file that is passed on, and of all that is made of it."""
    place = re.match(r"[A-Za-z][A-Za-z0-9+.-]*://([^/?#]*)", value)
    if place and "@" in place[1]:
        raise ValueError("an address has a user or password; write them into ~/.netrc instead")
    return value


Address = Annotated[str, AfterValidator(_no_credentials)]


class RemoteSource(StrictModel):
    """A file on a server that is not in the catalogue, with what is known of it."""

    url: Address
    """An address (http, https) without user and password: those belong into ~/.netrc."""
    sha256: str | None = None
    """Where known; a file with another content is refused."""
    sha1: str | None = None
    """The same, where only this is published."""
    md5: str | None = None
    """The same, where only this is published."""


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else (value,)


_Source = Annotated[
    Annotated[Address, Tag("text")] | Annotated[RemoteSource, Tag("mapping")],
    Discriminator(lambda value: "mapping" if isinstance(value, dict | RemoteSource) else "text"),
]
_Written = str | RemoteSource | list[str | RemoteSource]
Sources = Annotated[
    tuple[_Source, ...], BeforeValidator(_as_tuple, json_schema_input_type=_Written)
]
"""A folder, archives, or addresses (http, https) of archives."""


class PublishedDataset(_Stored):
    """A data set of the catalogue: fetched from where it is published, or from `source`."""

    kind: Literal["ade20k", "camvid", "cityscapes", "lip"]
    """Its name in the catalogue."""
    source: Sources = ()
    """A folder, archives, or addresses (http, https) of archives, in place of the published
    addresses.
    """


class CocoStuffDataset(_Stored):
    """COCO-Stuff 10k, with the official model's 182 classes or mmseg's 171."""

    kind: Literal["cocostuff10k"]
    """Its name in the catalogue."""
    source: Sources = ()
    """A folder, archives, or addresses (http, https) of archives, in place of the published
    addresses.
    """
    classes: Literal[171, 182] = 182
    """182: ids as published, as the official model has them. 171: those that occur, as mmseg."""


class FolderDataset(_Stored):
    """Anybody's own images and masks."""

    kind: Literal["folder"]
    """Your own, as `description` says."""
    source: Annotated[Sources, Field(min_length=1)]
    """A folder, archives, or addresses (http, https) of archives."""
    description: str
    """A file in `datasets/` that says what is where and which classes there are."""


Dataset = StreetsDataset | PublishedDataset | CocoStuffDataset | FolderDataset


Precision = Literal["float32", "tf32", "bf16", "fp16"]


class Speed(NamedTuple):
    """How a training computes: number format, memory layout of images and maps, compilation, and
    whether only kernels are used that give the same bits each time.
    """

    precision: Precision
    channels_last: bool
    compile: bool
    deterministic: bool = False


class Run(StrictModel):
    """One training with its evaluation."""

    dataset: str
    """A name under `datasets`."""
    config: str
    """A config of `isnet/configs/`, or one of mmseg's own: `mmseg::PATH`."""
    seed: int = Field(0, ge=0, le=2**31 - 1)
    """Of weights, order, augmentation and dropout."""
    devices: Annotated[
        Devices, BeforeValidator(_parse_devices, json_schema_input_type=int | str)
    ] = Devices(kind="cpu")
    """`cpu`, `cpu:2` (processes), `4` (GPUs) or `2x4` (nodes x GPUs); does not change what is
    trained.
    """
    precision: Precision = "float32"
    """Number format of the training; `tf32` and `fp16` need a GPU."""
    channels_last: bool = True
    """Memory layout NHWC, which is faster nearly everywhere."""
    compile: bool = False
    """torch.compile: minutes once, then faster steps on a GPU; needs g++."""
    deterministic: bool = False
    """Only kernels that give the same bits each time, which on a GPU takes longer."""
    ema: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Decay of the average of the weights that is scored and kept in their place."""
    sweep: Annotated[str, Field(pattern=f"^{NAME_PATTERN}$")] | None = None
    """The run whose settings `isnet sweep` has varied into this one; changes nothing in it."""
    overrides: Annotated[dict[str, Any], AfterValidator(_no_dotted_keys)] = Field({})
    """Keys of the config with other values, nested as there."""

    @property
    def speed(self) -> Speed:
        """The settings that change how fast, and in which rounding, a run trains."""
        return Speed(self.precision, self.channels_last, self.compile, self.deterministic)


class Tracking(StrictModel):
    """Where MLflow's runs go; the environment's MLFLOW_TRACKING_URI wins over `uri`."""

    uri: str = "sqlite:///mlflow.db"
    """A file, a server (`http://HOST:5000`) or a database, without a password."""
    experiment: str = Field("isnet", min_length=1)
    """Its name in MLflow."""

    @field_validator("uri")
    @classmethod
    def _without_password(cls, value: str) -> str:
        """Keep passwords out of a file that is passed on; a user's name alone is none."""
        if re.search(r"://[^/]*:[^/]*@|://[^/?]*/?[^?]*\?.*(?i:password|token)=", value):
            # The value is not shown: not even its error is to have it.
            raise ValueError(
                "the address has a password; write it into MLFLOW_TRACKING_URI, "
                "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or ~/.netrc instead"
            )
        return value


class Paths(StrictModel):
    """Folders that may lie elsewhere; relative ones start at the repository root."""

    data: str = "data"
    """The data root: images and converted labels, large; the environment's ISNET_DATA wins."""


class Params(StrictModel):
    """The whole of params.yaml."""

    tracking: Tracking = Tracking()
    """Where MLflow's runs go."""
    paths: Paths = Paths()
    """Folders that may lie elsewhere."""
    datasets: dict[str, Annotated[Dataset, Field(discriminator="kind")]]
    """Data sets by name; a name has letters, digits, `_` and `-`."""
    runs: dict[str, Run]
    """Trainings by name, each with its evaluation."""


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

    Raises:
        UserError: one line that names the key and the hint.
    """
    if not path.is_file():
        raise UserError(f"there is no {path} in {Path.cwd()}", hint="Run from the repository root")
    return params_of(read_yaml(path, "See README.md"), path)


def params_of(tree: dict[str, Any], path: Path) -> Params:
    """Check what params.yaml has, or would have; errors name `path`.

    Raises:
        UserError: one line that names the key and the hint.
    """
    params = validate(Params, tree, path)
    _check_names(path, params)
    return params


def _check_names(path: Path, params: Params) -> None:
    for section, names in (("datasets", params.datasets), ("runs", params.runs)):
        if not names:
            raise UserError("names nothing", where=f"{path}: {section}", hint="Add an entry")
        for name in names:
            if not re.fullmatch(NAME_PATTERN, name):
                raise UserError(
                    f"{name!r} is no name",
                    where=f"{path}: {section}",
                    hint="Use letters, digits, _ and -, beginning with a letter or digit",
                )
    for name, run in params.runs.items():
        if run.dataset not in params.datasets:
            raise UserError(
                f"there is no data set {run.dataset!r}",
                where=f"{path}: runs.{name}.dataset",
                hint=suggest(run.dataset, list(params.datasets), "Defined are"),
            )
