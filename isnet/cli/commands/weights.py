"""`isnet weights`: converts checkpoints from and to other formats, fetches ImageNet weights."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from isnet.errors import USER_ERROR, UserError
from isnet.io.atomic_files import sha256_of
from isnet.io.console import show_progress
from isnet.settings.config_file import config_file, config_source, read_config
from isnet.settings.pretrained_references import name_timm_weights

if TYPE_CHECKING:
    from torch import Tensor, nn

    from isnet.checkpoints.weights_formats import WeightsFile

_log = logging.getLogger(__name__)


def import_weights(file: Path, config: Path, output: Path, *, ema: bool) -> None:
    """Convert a checkpoint of the official code or of mmseg to a weights file of isnet.

    No code in the checkpoint is unpickled. `config` is the config file of its model. `ema` takes
    the averaged weights of an official checkpoint that has both kinds.

    Raises:
        UserError: `file` cannot be opened, its tensors do not match the model, or `output` exists.
    """
    conversion = _Conversion.of(file, config, output, ema=ema)
    source = {"file": file.name, "kind": conversion.file.kind, "sha256": sha256_of(file)}
    meta = {
        **conversion.dataset_meta,
        "config": config_source(conversion.config),
        "source": source,
        **conversion.metadata({"config": config.name, "source": source}),
    }
    conversion.save({"state_dict": conversion.tensors, "meta": meta})


def export_weights(
    file: Path, config: Path, output: Path, *, format: Literal["official", "mmseg"]
) -> None:
    """Convert a weights file of isnet to a checkpoint of the official code or of mmseg.

    `config` is the config file of the model.

    Raises:
        UserError: `file` cannot be opened, its tensors do not match the model, or `output` exists.
    """
    conversion = _Conversion.of(file, config, output, ema=False)
    from isnet.checkpoints.tensor_names import official_name

    tensors = conversion.tensors
    if format == "official":
        conversion.save({"model": {official_name(name): tensors[name] for name in tensors}})
    else:
        conversion.save({"state_dict": tensors, "meta": conversion.dataset_meta})


def fetch_weights(sources: Sequence[str]) -> int:
    """Download weights in advance, into torch's cache or the cache of Hugging Face's hub.

    `sources` are configs, for the ImageNet weights of their backbones, and repositories
    (`hf://OWNER/NAME`). Without any, the backbones are those of all runs of params.yaml. Returns 0,
    or 2 if some of these runs are wrong. Raises UserError if a download fails or a file is damaged.
    """
    from isnet.checkpoints import hub
    from isnet.checkpoints.pretrained import fetch_pretrained, pretrained_files
    from isnet.settings.partial_plan import error_lines, plan_without_wrong_entries

    errors: Mapping[str, UserError] = {}
    published = [source for source in sources if source.startswith(hub.PREFIX)]
    if sources:
        configs = [Path(source) for source in sources if source not in published]
        resolved = [_read_config(config) for config in configs]
    else:
        plan = plan_without_wrong_entries()
        errors = plan.wrong
        resolved = [run.experiment.config for run in plan.runs.values()]
    for address in published:
        _log.info(f"{address} is at {hub.download(address)}")
    files = {file.path: file for config in resolved for file in pretrained_files(config["model"])}
    for file in files.values():
        with show_progress("bytes") as show:
            fetch_pretrained(file, show)
        _log.info(f"{file.reference} is at {file.path}")
    if not files and not published:
        _log.info("nothing to download: no config names ImageNet weights")
    for error in error_lines(errors):
        _log.info(error)
    return USER_ERROR if errors else 0


@dataclass(frozen=True)
class _Conversion:
    """A checkpoint to convert, whose tensors have isnet's names and match the model of a config."""

    file: WeightsFile
    config: dict[str, Any]
    output: Path
    tensors: dict[str, Tensor]
    parameters: int

    @classmethod
    def of(cls, path: Path, config: Path, output: Path, *, ema: bool) -> _Conversion:
        from isnet.checkpoints.fitting_tensors import check_fusion, check_state_dict
        from isnet.checkpoints.tensor_names import official_name
        from isnet.checkpoints.weights_formats import open_weights

        if output.exists():
            raise UserError(f"{output} exists already", hint="Delete it, or name another --output")
        settings = _read_config(config)
        file = open_weights(path, ema=ema)
        model = _build_on_meta(settings, config)
        check_fusion(model, file)
        ours = model.state_dict()
        names = {name: official_name(name) if file.has_official_names else name for name in ours}
        expected = {names[name]: value for name, value in ours.items()}
        check_state_dict(expected, file.tensors, file=path, model=str(config))
        tensors = {name: file.tensors[names[name]] for name in ours}
        parameters = sum(value.numel() for value in model.parameters())
        return cls(file, settings, output, tensors, parameters)

    @cached_property
    def _known(self) -> dict[str, Any]:
        """Classes, palette and flip pairs, empty if the classes are unknown.

        They are those of the checkpoint, else of the config's data set, else of the public one that
        it names by its manifest. The last has the flip pairs, for classes in its order.
        """
        from mmseg.registry import DATASETS

        from isnet.settings.config_file import innermost_dataset
        from isnet.settings.dataset_lookup import published_table

        head = self.config["model"]["decode_head"]
        count = int((head[-1] if isinstance(head, list | tuple) else head)["num_classes"])
        dataset = innermost_dataset(self.config.get("train_dataloader", {}).get("dataset", {}))
        registered = DATASETS.get(dataset["type"]) if dataset.get("type") else None
        table = published_table(Path(dataset.get("manifest", "")).parent.name, count)
        public = table and {"classes": table.classes, "palette": table.palette}
        of_file = self.file.meta.get("dataset_meta")
        for known in (of_file, getattr(registered, "METAINFO", None), public):
            if not isinstance(known, Mapping):
                continue
            classes: Any = known.get("classes")
            palette: Any = known.get("palette")
            if _has(classes, count) and _has(palette, count) and _has(palette[0], 3):
                names = table.classes if table else ()
                same = [name.lower() for name in classes] == [name.lower() for name in names]
                pairs = table.flip_pairs if table and same else ()
                colours = [list(colour) for colour in palette]
                return {"classes": list(classes), "palette": colours, "flip_pairs": pairs}
        return {}

    @property
    def dataset_meta(self) -> dict[str, Any]:
        """Classes and palette, as the mapping `{"dataset_meta": ...}` that mmseg expects.

        They come from the checkpoint, else from the config's data set; empty if neither has them.
        """
        known = {key: self._known[key] for key in ("classes", "palette") if self._known}
        return {"dataset_meta": known} if known else {}

    def metadata(self, provenance: dict[str, Any]) -> dict[str, Any]:
        """Return the metadata for the weights file; empty if the class names are unknown."""
        from isnet.checkpoints.weights_metadata import WeightsMetadata
        from isnet.inference.model_config import deployed_model

        if not self._known:
            return {}
        return WeightsMetadata.from_config(
            self.config,
            deployed_model(self.config),
            **self._known,
            provenance=provenance,
        ).as_meta()

    def save(self, content: dict[str, Any]) -> None:
        """Write the converted checkpoint to `output` and print a one-line summary."""
        from isnet.checkpoints.checkpoint_folder import save_torch

        save_torch(self.output, content)
        print(
            f"{self.file.path}: {self.file.kind}, {len(self.tensors)} tensors, "
            f"{self.parameters:,} parameters, all matched; written to {self.output}"
        )


def _has(values: Any, count: int) -> bool:
    return isinstance(values, list | tuple) and len(values) == count


def _build_on_meta(config: dict[str, Any], path: Path) -> nn.Module:
    """Build the model of a config on the meta device, without memory for its tensors."""
    from isnet.mmseg_import import import_mmseg

    import_mmseg()
    import torch
    from mmseg.registry import MODELS

    from isnet.inference.model_config import deployed_model, explain_build_errors

    hint = "Give one of isnet/configs, or correct the config"
    with explain_build_errors(str(path), hint), torch.device("meta"):
        model: nn.Module = MODELS.build(deployed_model(config))
    return model


def _read_config(path: Path) -> dict[str, Any]:
    hint = "Give one of isnet/configs"
    file = config_file(str(path))
    if not file.is_file():
        raise UserError(f"there is no config {path}", hint=hint)
    config = read_config(file, str(path))
    model = config.get("model")
    if not (isinstance(model, dict) and {"backbone", "decode_head"} <= model.keys()):
        raise UserError("has no model with backbone and decode_head", where=str(path), hint=hint)
    name_timm_weights(config, str(path))
    return config
