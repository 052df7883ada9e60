"""MLflow model server for trained models: base64 images in, base64 masks out."""
