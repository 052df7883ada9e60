"""A data set written by `isnet convert`; the child config adds `manifest` and the pipelines."""

_base_ = "./loaders.py"

data_root = "data"
train_dataloader = dict(dataset=dict(type="ManifestDataset", data_root=data_root, split="train"))
val_dataloader = dict(dataset=dict(type="ManifestDataset", data_root=data_root, split="val"))
test_dataloader = val_dataloader
