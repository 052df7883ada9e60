"""Trains a model with mmengine's Runner, with exact resume and mixed precision."""
