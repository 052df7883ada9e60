"""The ISNet decode head for mmseg, and its building blocks.

`isnet_head`, `auxiliary_head` and `losses` need mmseg; the other modules import only torch. Nothing
is imported here, so that the latter can be used without mmseg.
"""
