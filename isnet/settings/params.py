"""Pydantic models of params.yaml, with the checks that need no other file.

A new key is a field with a docstring below it, from which docs/reference/params.md is generated. If
it changes what a stage computes, it also belongs in the stage's settings in
`settings/plan.py`; a check against the config or data set belongs in
`settings/compatibility.py`.
"""

import re
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    ValidationInfo,
    field_validator,
)
from pydantic_core import PydanticCustomError

from isnet.errors import UserError
from isnet.extras import install_command, is_installed
from isnet.io.spelling import suggest
from isnet.io.yaml_file import StrictModel, read_yaml, validate

NAME_PATTERN = r"[A-Za-z0-9][A-Za-z0-9_-]*"
"""Regular expression for the names of runs and data sets.

They become names of folders, Snakemake wildcards, DVC stages and MLflow runs.
"""


class Devices(StrictModel):
    """The devices of a run: `nodes` x `per_node` processes, each on one GPU or on the CPU.

    `mps` is one process on Apple's GPU.
    """

    kind: Literal["cpu", "gpu", "mps"]
    nodes: int = 1
    per_node: int = 1

    @property
    def processes(self) -> int:
        """Number of training processes over all nodes."""
        return self.nodes * self.per_node

    @property
    def gpus(self) -> int:
        """Number of NVIDIA's GPUs on each node; 0 for a run on CPUs or Apple's GPU."""
        return self.per_node if self.kind == "gpu" else 0

    def __str__(self) -> str:
        if self.kind == "mps":
            return "mps"
        each = str(self.per_node)
        if self.kind == "cpu":
            each = "cpu" if self.per_node == 1 else f"cpu:{self.per_node}"
        return f"{self.nodes}x{each}" if self.nodes > 1 else each


def _parse_devices(value: Any) -> Any:
    if value == "mps":
        return Devices(kind="mps")
    match = re.fullmatch(r"(?:([1-9]\d*)x)?(?:(cpu)(?::([1-9]\d*))?|([1-9]\d*))", str(value))
    if isinstance(value, bool) or not match:
        raise ValueError(
            f"{value!r} names no devices; write cpu, cpu:2 (two processes), 4 (GPUs), "
            "2x4 (nodes x GPUs) or mps (Apple's GPU)"
        )
    nodes, cpu, cpu_processes, gpus = match.groups()
    if cpu:
        return Devices(kind="cpu", nodes=int(nodes or 1), per_node=int(cpu_processes or 1))
    return Devices(kind="gpu", nodes=int(nodes or 1), per_node=int(gpus))


def _no_dotted_keys(value: dict[str, Any], above: str = "") -> dict[str, Any]:
    """Raise ValueError for keys such as `a.b`, which `dvc exp run -S` cannot address.

    Keys below `custom_keys` are accepted: the names of modules have dots.
    """
    for key, item in value.items():
        if not isinstance(key, str):
            raise ValueError(f"the key {key!r} is not text; quote it")
        if "." in key and not above.endswith("custom_keys."):
            nested = "{" + "".join(f"{part}: {{" for part in key.split("."))[:-1]
            nested += f"{item}" + "}" * len(key.split("."))
            raise ValueError(f"the dotted key {above}{key!r} is not allowed; nest it: {nested}")
        if isinstance(item, dict):
            _no_dotted_keys(item, f"{above}{key}.")
    return value


class StreetsSettings(StrictModel):
    """Settings of the generated street scenes: their number, size and seed."""

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
    """Raise ValueError if a URL contains a user or password, because params.yaml is shared."""
    place = re.match(r"[A-Za-z][A-Za-z0-9+.-]*://([^/?#]*)", value)
    if place and "@" in place[1]:
        raise ValueError("an address has a user or password; write them into ~/.netrc instead")
    return value


Address = Annotated[str, AfterValidator(_no_credentials)]
"""The path of a local file or folder, or a URL without user and password."""


class RemoteSource(StrictModel):
    """A file on a server and its published hashes, against which the download is checked."""

    url: Address
    """Its http or https address, without user and password: those belong in ~/.netrc."""
    sha256: str | None = None
    """SHA-256 of the file, if published; a file with other content is refused."""
    sha1: str | None = None
    """SHA-1 of the file, if only this is published."""
    md5: str | None = None
    """MD5 of the file, if only this is published."""


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
"""Where the files of a data set are: a folder, archives, or http(s) addresses of archives."""


class _Published(_Stored):
    source: Sources = ()
    """A folder, archives, or http(s) addresses of archives, used instead of the published ones."""


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
    """A data set of your own images and masks."""

    kind: Literal["folder"]
    """Your own data, described by `description`."""
    source: Annotated[Sources, Field(min_length=1)]
    """A folder, archives, or addresses (http, https) of archives."""
    description: str
    """A file in `datasets/` that gives the folders, file patterns and classes."""


Dataset = StreetsDataset | PublishedDataset | CocoStuffDataset | FolderDataset


class StartAddress(StrictModel):
    """Weights on a server."""

    url: Address
    """An address (http, https) without user and password: those belong in ~/.netrc."""
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    """SHA-256 of the file; other content is refused."""


class StartRun(StrictModel):
    """Weights of another run, which is trained first."""

    run: str
    """A name under `runs`."""


def _start_kind(value: Any) -> str:
    if isinstance(value, StartRun) or (isinstance(value, dict) and "run" in value):
        return "run"
    return "address" if isinstance(value, dict | StartAddress) else "file"


def _no_address(value: str) -> str:
    if "://" in value:
        raise ValueError(f"an address needs a hash: {{url: {value}, sha256: ...}}")
    return value


Start = Annotated[
    Annotated[str, AfterValidator(_no_address), Tag("file")]
    | Annotated[StartAddress, Tag("address")]
    | Annotated[StartRun, Tag("run")],
    Discriminator(_start_kind),
]
"""A file, an address with its hash, or another run."""


Precision = Literal["float32", "tf32", "bf16", "fp16"]


class Speed(NamedTuple):
    """Settings of a training that affect only its speed and the rounding of its numbers."""

    precision: Precision
    channels_last: bool
    compile: bool
    deterministic: bool = False


BestMetric = Literal["mIoU", "mDice", "mFscore", "mPrecision", "mRecall", "mAcc", "aAcc"]
"""The scores of a validation during training, by the names of mmseg."""


class Run(StrictModel):
    """A run: one training and the evaluation of its weights, or the evaluation of given weights."""

    dataset: str
    """A name under `datasets`."""
    config: str
    """A config of `isnet/configs/`, or one of mmseg's own: `mmseg::PATH`."""
    seed: int = Field(0, ge=0, le=2**31 - 1)
    """Seed of initial weights, sample order, augmentation and dropout."""
    devices: Annotated[
        Devices, BeforeValidator(_parse_devices, json_schema_input_type=int | str)
    ] = Devices(kind="cpu")
    """`cpu`, `cpu:2` (processes), `4` (GPUs), `2x4` (nodes x GPUs), or `mps` (Apple, untested).

    All keep the global batch.
    """
    precision: Precision = "float32"
    """Number format of the training; `tf32` and `fp16` need a GPU."""
    channels_last: bool = True
    """Whether tensors have the NHWC memory layout, which is usually faster."""
    compile: bool = False
    """Whether to use torch.compile: it takes minutes, then steps on a GPU are faster; needs g++."""
    deterministic: bool = False
    """Whether to use deterministic kernels only, which is slower on a GPU."""
    ema: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Decay of the exponential moving average of the weights, which is evaluated and saved."""
    best: BestMetric = "mIoU"
    """The validation score whose highest value chooses the best weights, kept as `best.pth`."""
    init_from: Start | None = None
    """Weights to start from: a file, `{url: ..., sha256: ...}` or `{run: NAME}` (weights.md)."""
    weights: Start | None = None
    """Weights to score instead of a training, written as in `init_from` (score-weights.md)."""
    sweep: Annotated[str, Field(pattern=f"^{NAME_PATTERN}$")] | None = None
    """The run that `isnet sweep` varied into this one; it only groups runs in reports."""
    overrides: Annotated[dict[str, Any], AfterValidator(_no_dotted_keys)] = Field({})
    """Values that replace those of the config, nested as in the config."""

    @property
    def speed(self) -> Speed:
        """The run's settings that affect only speed and rounding."""
        return Speed(self.precision, self.channels_last, self.compile, self.deterministic)


class Tracking(StrictModel):
    """MLflow store, which MLFLOW_TRACKING_URI overrides, and other receivers of curves."""

    uri: str = "sqlite:///mlflow.db"
    """A database file, a server (`http://HOST:5000`) or a database server, without password."""
    experiment: str = Field("isnet", min_length=1)
    """Name of the MLflow experiment, and of Weights & Biases' project."""
    tensorboard: bool = False
    """Event files in `work/tensorboard/`; needs the package tensorboard."""
    wandb: bool = False
    """Runs in Weights & Biases, with the environment's login; needs the package wandb."""

    @field_validator("tensorboard", "wandb")
    @classmethod
    def _with_package(cls, value: bool, info: ValidationInfo) -> bool:
        """Raise an error for a receiver whose package is missing."""
        package = str(info.field_name)
        if value and not is_installed(package):
            raise PydanticCustomError(
                "missing_package",
                f"the package {package} is not installed",
                {"hint": f"Run {install_command(package)}, or write false"},
            )
        return value

    @field_validator("uri")
    @classmethod
    def _without_password(cls, value: str) -> str:
        """Raise ValueError if the address of the MLflow store contains a password or token.

        A user name alone is accepted.
        """
        if re.search(r"://[^/]*:[^/]*@|://[^/?]*/?[^?]*\?.*(?i:password|token)=", value):
            # The message must not contain the value.
            raise ValueError(
                "the address has a password; write it into MLFLOW_TRACKING_URI, "
                "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or ~/.netrc instead"
            )
        return value


class Paths(StrictModel):
    """Folders that may be on another disk; relative paths start at params.yaml."""

    data: str = "data"
    """The data root, a large folder of images and converted labels; ISNET_DATA overrides it."""


_EMPTY_WITHOUT_ENTRIES = BeforeValidator(lambda entries: {} if entries is None else entries)
"""Takes a section whose entries are all deleted or commented out for an empty one."""


class Params(StrictModel):
    """The content of params.yaml."""

    tracking: Tracking = Tracking()
    """MLflow store and experiment."""
    paths: Paths = Paths()
    """Folders that may be on another disk."""
    datasets: Annotated[
        dict[str, Annotated[Dataset, Field(discriminator="kind")]], _EMPTY_WITHOUT_ENTRIES
    ]
    """Data sets by name (letters, digits, `_`, `-`)."""
    runs: Annotated[dict[str, Run], _EMPTY_WITHOUT_ENTRIES]
    """Runs by name; each is a training and its evaluation, or an evaluation of given weights."""


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

    Raises UserError if it is missing or invalid; the message names the key and the correction.
    """
    return params_of(read_params(path), path)


def read_params(path: Path = Path("params.yaml")) -> dict[str, Any]:
    """Read params.yaml without checking its content.

    Raises UserError if it is missing, not valid YAML or not a mapping.
    """
    if not path.is_file():
        raise UserError(
            f"there is no {path} in {Path.cwd()}",
            hint="Go to the folder of a project, or make one: `isnet new FOLDER`",
        )
    return read_yaml(path, "See docs/reference/params.md")


def params_of(tree: dict[str, Any], path: Path) -> Params:
    """Check the parsed YAML of params.yaml and return it as `Params`.

    Raises UserError if it is invalid; the message names `path`, the key and the correction.
    """
    params = validate_params(tree, path)
    for section, names in (("datasets", params.datasets), ("runs", params.runs)):
        if not names:
            hint = "Add an entry; `isnet init NAME FOLDER` writes it for your own images"
            raise UserError("is empty", where=f"{path}: {section}", hint=hint)
    return params


def validate_params(tree: dict[str, Any], path: Path) -> Params:
    """Check the parsed YAML of params.yaml, which may have no runs or no data sets.

    Raises UserError if it is invalid; the message names `path`, the key and the correction.
    """
    params = validate(Params, tree, path)
    for section, names in (("datasets", params.datasets), ("runs", params.runs)):
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
