#!/bin/sh
# Installs isnet into /opt/isnet/.venv, for both images. TORCH_INDEX: an index with other builds of torch.
set -eu
cd /opt/isnet
export PIP_NO_CACHE_DIR=1
if [ -n "${TORCH_INDEX:-}" ]; then
    python3 -m pip install --index-url "$TORCH_INDEX" $(grep -oE '^torch(vision)?==[0-9.]+' requirements.lock)
    make setup TORCH=system PYTHON=python3
else
    make setup PYTHON=python3
fi
# Projects are mounted with the owner that they have outside.
git config --system --add safe.directory '*'
