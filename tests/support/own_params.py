"""A params.yaml with a data set of the user's own, which no run needs."""

from pathlib import Path

_PARAMS = """\
datasets:
  own: {{kind: folder, source: {source}, description: datasets/own.yaml}}
  streets: {{kind: streets, settings: {{train: 1, val: 1}}}}
runs:
  one: {{dataset: streets, config: isnet/configs/isnet_res18-half_1xb2-1300_streets-128x256.py}}
"""


def write_own_params(source: Path) -> None:
    """Write params.yaml; `datasets/own.yaml` describes the folder `source`."""
    Path("params.yaml").write_text(_PARAMS.format(source=source))
