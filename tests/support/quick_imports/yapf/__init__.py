"""Stand-in for yapf: it leaves code as it is.

mmengine formats the whole config twice in each start of mmseg's tools, for four seconds.
"""

__version__ = "0.43.0"
