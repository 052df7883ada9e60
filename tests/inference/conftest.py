from small_segmentor import build_model, dataset, model

__all__ = ["build_model", "dataset", "model"]
