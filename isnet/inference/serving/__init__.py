"""Model served by MLflow: base64 images in, base64 masks out."""
