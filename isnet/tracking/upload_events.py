"""Events that the uploader process reports to its parent."""

from collections.abc import Callable
from typing import Any

Report = Callable[[dict[str, Any]], None]
"""Callback that receives the events of an upload.

The events are `{"alive": 1}` after each answer of MLflow, `{"note": text}` for what a user should
know at once, `{"uploaded": run, "note": text}` after each run, and at the end
`{"done": 1, "reason": text or None, "by_hand": flag}`. The flag says that a user must do something
before the next upload can succeed.
"""
