"""Stands for timm, which no config of these tests needs: mmseg does without it."""

raise ImportError("timm takes seconds to import")
