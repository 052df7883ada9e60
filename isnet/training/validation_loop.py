"""A validation that can be stopped in the middle: it is done again, from its start, on resume."""

from __future__ import annotations

from typing import Any

from mmengine.registry import LOOPS
from mmengine.runner import ValLoop

__all__ = ["StoppableValLoop", "ValidationStopped"]


class ValidationStopped(Exception):
    """Raised by a hook in the middle of a validation."""


@LOOPS.register_module()
class StoppableValLoop(ValLoop):
    """mmengine's loop, which a hook can leave."""

    def run(self) -> dict[str, Any]:
        """Validate; return the scores, none where it was stopped."""
        try:
            scores: dict[str, Any] = super().run()
        except ValidationStopped:
            return {}
        return scores
