"""Typed form of params.yaml, with the checks that need no other file.

A new key is a field with a docstring below it, from which docs/reference/params.md is generated. If
it changes what a stage computes, it also belongs in the stage's settings in `settings/plan.py`; a
check against the config or data set belongs in `settings/compatibility.py`.
"""

import re
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag, field_validator

from isnet.errors import UserError
from isnet.io.yaml_file import StrictModel, read_yaml, suggest, validate

NAME_PATTERN = r"[A-Za-z0-9][A-Za-z0-9_-]*"
"""Names of runs and data sets, which become folders, wildcards, DVC stages and MLflow run names."""


class Devices(StrictModel):
    """Devices of a run: `nodes` x `per_node` processes, each on one GPU or on the CPU."""

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
            f"{value!r} names no devices; write cpu, cpu:2 (two processes), 4 (GPUs) "
            "or 2x4 (nodes x GPUs)"
        )
    nodes, cpu, cpu_processes, gpus = match.groups()
    if cpu:
        return Devices(kind="cpu", nodes=int(nodes or 1), per_node=int(cpu_processes or 1))
    return Devices(kind="gpu", nodes=int(nodes or 1), per_node=int(gpus))


def _no_dotted_keys(value: dict[str, Any], above: str = "") -> dict[str, Any]:
    """Refuse keys such as `a.b`, which `dvc exp run -S` cannot address."""
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
    """Number, size and seed of the generated street scenes."""

    train: int = Field(320, ge=1, le=100_000)
    """Images to train on."""
    val: int = Field(64, ge=1, le=100_000)
    """Images to score."""
    width: int = Field(256, ge=64, le=4096)
    """Size of each image, in pixels."""
    height: int = Field(128, ge=64, le=4096)
    """Size of each image, in pixels."""
    seed: int = Field(0, ge=0, le=2**31 - 1)
    """Another seed gives other scenes."""


class _Stored(StrictModel):
    store: bool = True
    """Whether decoded images are packed for fast reading, where the disk has room."""


class StreetsDataset(_Stored):
    """Generated street scenes in the Cityscapes folder format; nothing is downloaded."""

    kind: Literal["streets"]
    """The kind of data set, which decides its other keys."""
    settings: StreetsSettings = StreetsSettings()
    """Number, size and seed of the scenes."""


def _no_credentials(value: str) -> str:
    """Refuse an address with a user or password: params.yaml and the report are shared."""
    place = re.match(r"[A-Za-z][A-Za-z0-9+.-]*://([^/?#]*)", value)
    if place and "@" in place[1]:
        raise ValueError("an address has a user or password; write them into ~/.netrc instead")
    return value


Address = Annotated[str, AfterValidator(_no_credentials)]


class RemoteSource(StrictModel):
    """A file on a server, with its published hashes."""

    url: Address
    """An address (http, https) without user and password: those belong in ~/.netrc."""
    sha256: str | None = None
    """SHA-256, if published; a file with other content is refused."""
    sha1: str | None = None
    """SHA-1, if only this is published."""
    md5: str | None = None
    """MD5, if only this is published."""


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


class _Published(_Stored):
    source: Sources = ()
    """A folder, archives, or addresses (http, https) of archives, replacing the published ones."""


class PublishedDataset(_Published):
    """A public data set of the catalog, downloaded from its publisher or read from `source`."""

    kind: Literal["ade20k", "camvid", "cityscapes", "lip"]
    """Its name in the catalog."""


class CocoStuffDataset(_Published):
    """COCO-Stuff 10k, with the official model's 182 classes or mmseg's 171."""

    kind: Literal["cocostuff10k"]
    """Its name in the catalog."""
    classes: Literal[171, 182] = 182
    """182: all published ids, as in the official model. 171: the ids that occur, as in mmseg."""


class FolderDataset(_Stored):
    """Your own images and masks."""

    kind: Literal["folder"]
    """Your own data, described by `description`."""
    source: Annotated[Sources, Field(min_length=1)]
    """A folder, archives, or addresses (http, https) of archives."""
    description: str
    """A file in `datasets/` that gives the folders, file patterns and classes."""


Dataset = StreetsDataset | PublishedDataset | CocoStuffDataset | FolderDataset


Precision = Literal["float32", "tf32", "bf16", "fp16"]


class Speed(NamedTuple):
    """Settings that change the speed and rounding of a training, and nothing else."""

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
    """Seed of initial weights, sample order, augmentation and dropout."""
    devices: Annotated[
        Devices, BeforeValidator(_parse_devices, json_schema_input_type=int | str)
    ] = Devices(kind="cpu")
    """`cpu`, `cpu:2` (processes), `4` (GPUs) or `2x4` (nodes x GPUs); the global batch stays."""
    precision: Precision = "float32"
    """Number format of the training; `tf32` and `fp16` need a GPU."""
    channels_last: bool = True
    """NHWC memory layout, usually faster."""
    compile: bool = False
    """torch.compile: minutes of compilation, then faster steps on a GPU; needs g++."""
    deterministic: bool = False
    """Deterministic kernels only, slower on a GPU."""
    ema: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Decay of the exponential moving average of the weights, which is evaluated and saved."""
    sweep: Annotated[str, Field(pattern=f"^{NAME_PATTERN}$")] | None = None
    """The run that `isnet sweep` varied into this one; it only groups runs in reports."""
    overrides: Annotated[dict[str, Any], AfterValidator(_no_dotted_keys)] = Field({})
    """Config values to replace, nested as in the config."""

    @property
    def speed(self) -> Speed:
        """The settings of speed and rounding."""
        return Speed(self.precision, self.channels_last, self.compile, self.deterministic)


class Tracking(StrictModel):
    """MLflow store; the environment variable MLFLOW_TRACKING_URI overrides `uri`."""

    uri: str = "sqlite:///mlflow.db"
    """A database file, a server (`http://HOST:5000`) or a database server, without password."""
    experiment: str = Field("isnet", min_length=1)
    """Name of the MLflow experiment."""

    @field_validator("uri")
    @classmethod
    def _without_password(cls, value: str) -> str:
        """Refuse an address with a password; a user name alone is accepted."""
        if re.search(r"://[^/]*:[^/]*@|://[^/?]*/?[^?]*\?.*(?i:password|token)=", value):
            # The message must not contain the value.
            raise ValueError(
                "the address has a password; write it into MLFLOW_TRACKING_URI, "
                "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or ~/.netrc instead"
            )
        return value


class Paths(StrictModel):
    """Folders that may be on another disk; relative paths start at the repository root."""

    data: str = "data"
    """The data root (images, converted labels; large); ISNET_DATA overrides it."""


class Params(StrictModel):
    """The whole of params.yaml."""

    tracking: Tracking = Tracking()
    """MLflow store and experiment."""
    paths: Paths = Paths()
    """Folders that may be on another disk."""
    datasets: dict[str, Annotated[Dataset, Field(discriminator="kind")]]
    """Data sets by name (letters, digits, `_`, `-`)."""
    runs: dict[str, Run]
    """Runs by name: a training and its evaluation each."""


def flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten `{"a": {"b": 1}}` to `{"a.b": 1}`; lists and empty mappings are values."""
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
        UserError: naming the key and how to correct it.
    """
    if not path.is_file():
        raise UserError(f"there is no {path} in {Path.cwd()}", hint="Run from the repository root")
    return params_of(read_yaml(path, "See README.md"), path)


def params_of(tree: dict[str, Any], path: Path) -> Params:
    """Check the content of params.yaml, as parsed from YAML; `path` is the file that errors name.

    Raises:
        UserError: naming the key and how to correct it.
    """
    params = validate(Params, tree, path)
    for section, names in (("datasets", params.datasets), ("runs", params.runs)):
        if not names:
            raise UserError("is empty", where=f"{path}: {section}", hint="Add an entry")
        for name in names:
            if not re.fullmatch(NAME_PATTERN, name):
                raise UserError(
                    f"{name!r} is not a valid name",
                    where=f"{path}: {section}",
                    hint="Use letters, digits, _ and -, starting with a letter or digit",
                )
    for name, run in params.runs.items():
        if run.dataset not in params.datasets:
            raise UserError(
                f"there is no data set {run.dataset!r}",
                where=f"{path}: runs.{name}.dataset",
                hint=suggest(run.dataset, params.datasets, "Defined are"),
            )
    return params
