"""A validation loop that a hook can leave; a resumed training repeats that validation."""

from typing import Any

from mmengine.registry import LOOPS
from mmengine.runner import ValLoop


class ValidationStopped(Exception):
    """Raised by a hook to leave a validation."""


@LOOPS.register_module()
class StoppableValLoop(ValLoop):
    """mmengine's ValLoop that ends early on `ValidationStopped`."""

    def run(self) -> dict[str, Any]:
        """Validate; return the scores, or an empty dict if stopped."""
        try:
            scores: dict[str, Any] = super().run()
        except ValidationStopped:
            return {}
        return scores
