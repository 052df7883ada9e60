"""The ISNet decode head.

`isnet_head`, `auxiliary_head` and `losses` need mmseg; the other modules import only torch. Nothing
is imported here, so that they can be used without mmseg.
"""

__all__: list[str] = []
