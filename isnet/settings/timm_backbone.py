"""The pretrained weights of mmseg's `TIMMBackbone`, written as those of any other backbone."""

from typing import Any

from isnet.errors import UserError

TIMM = "timm://"
"""Before the name of weights on timm's hub, such as `timm://resnet18.a1_in1k`."""


def name_timm_weights(config: dict[str, Any], where: str) -> None:
    """Replace `pretrained` and `checkpoint_path` of a `TIMMBackbone` by an `init_cfg`.

    timm itself would download or load the weights each time the model is built, also to evaluate
    it. `pretrained` is true unless a config says otherwise, as in mmseg.

    Raises:
        UserError: the weights are those of another model of timm.
    """
    backbone = config["model"].get("backbone") or {}
    if not is_timm_backbone(backbone):
        return
    model_name = backbone["model_name"]
    by_default = f"{TIMM}{model_name}" if backbone.get("pretrained", True) else None
    reference = backbone.pop("checkpoint_path", None) or by_default
    if reference and not backbone.get("init_cfg"):
        backbone["init_cfg"] = {"type": "Pretrained", "checkpoint": reference}
    backbone["pretrained"] = False
    checkpoint = (backbone.get("init_cfg") or {}).get("checkpoint") or ""
    theirs = checkpoint.removeprefix(TIMM)
    if checkpoint.startswith(TIMM) and _architecture(theirs) != _architecture(model_name):
        raise UserError(
            f"{checkpoint} has the weights of another model than {model_name}",
            where=f"{where}: model.backbone",
            hint=f"Write model_name: {_architecture(theirs)}, or name its own weights",
        )


def is_timm_backbone(backbone: dict[str, Any]) -> bool:
    """Return whether the config of a backbone is that of a network of timm."""
    return backbone.get("type") == "TIMMBackbone"


def _architecture(name: str) -> str:
    """Return a name of timm without its tag: `resnet18` of `resnet18.a1_in1k`."""
    return name.partition(".")[0]
