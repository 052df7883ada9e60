"""Export of a trained network to ONNX or torch.export, with its check against torch."""
