"""Weights that come from elsewhere and go elsewhere: other people's checkpoints, ImageNet files."""
