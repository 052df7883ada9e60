# `make` alone lists what there is. CI runs the same commands (.ci/run).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# TORCH=system: the torch of $(PYTHON). An environment that was made so stays so.
SYSTEM_TORCH := $(wildcard $(VENV)/lib/python3*/site-packages/system_torch.pth)
TORCH ?= $(if $(SYSTEM_TORCH),system,lock)
READY := $(VENV)/.ready$(if $(filter system,$(TORCH)),-system)
# The environment is made by a Python that is not in it.
OUTSIDE := $(subst $(CURDIR)/$(BIN):,,$(PATH))
# Rules and stages call `isnet`: the environment's programs come first.
export PATH := $(CURDIR)/$(BIN):$(PATH)

.DEFAULT_GOAL := help
.PHONY: help setup demo picture docs wheel test lab soak check bench gpu format reference lock

help:  ## this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 16

setup: $(READY)  ## create .venv from requirements.lock; TORCH=system keeps the torch that is there

demo: $(READY)  ## train and compare two networks on generated street scenes (CPU, a few minutes)
	snakemake --cores all
	@isnet results

picture: $(READY)  ## make the README's picture of the report that `make demo` has left
	@python tools/docs/picture.py reports/index.html docs/report.png

wheel: $(READY)  ## build the package, dist/isnet-*.whl
	@rm -rf build  # setuptools would add what was deleted since
	pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .

# --quiet would hide warnings from --strict too.
docs: $(READY)  ## build the documentation, site/index.html; a dead link is an error
	NO_MKDOCS_2_WARNING=1 mkdocs build --strict
	@echo site/index.html

test: $(READY)  ## run the tests
	pytest --numprocesses auto --dist worksteal

lab: $(READY)  ## preempt, kill and break a real Slurm, MLflow servers and PostgreSQL, for minutes
	pytest -m 'slurm or tracker or engines'

soak: $(READY)  ## kill trainings at random moments, for many minutes, and compare their bits
	pytest -m soak

check: $(READY)  ## format, lint, types, import directions, workflow lint
	ruff format --check .
	ruff check .
	mypy
	lint-imports
	snakefmt --check Snakefile workflow
	snakemake --lint

bench: $(READY)  ## measure what BENCHMARKS.md claims
	for claim in head step data labels evaluate; do python benchmarks/$$claim.py || exit 1; done

gpu: $(READY)  ## test and measure what needs a GPU, in under 8 minutes: a table and gpu.json
	@python benchmarks/gpu.py --json gpu.json

format: $(READY)  ## format everything
	ruff format .
	ruff check --fix .
	snakefmt Snakefile workflow

$(READY): export PATH := $(OUTSIDE)
$(READY): requirements.lock pyproject.toml
	@case "$(TORCH)" in lock|system) ;; *) echo "make: TORCH=$(TORCH) is neither lock nor system"; exit 2 ;; esac
	@[ ! -e $(VENV)/.ready ] || [ "$(TORCH)" = lock ] || { echo "make: $(VENV) has a torch of its own: remove it first: rm -r $(VENV)"; exit 2; }
	@[ -z "$(SYSTEM_TORCH)" ] || [ "$(TORCH)" = system ] || { echo "make: $(VENV) uses another torch: remove it first: rm -r $(VENV)"; exit 2; }
	@command -v git >/dev/null || { echo "make: git is missing: apt-get install git"; exit 2; }
	@command -v $(PYTHON) >/dev/null || { echo "make: $(PYTHON) is missing: apt-get install python3 python3-venv"; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "make: $(PYTHON) is older than 3.11: name a newer one with make PYTHON=python3.12"; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "make: Python's venv is missing: apt-get install python3-venv"; exit 2; }
ifeq ($(TORCH),system)
	$(PYTHON) tools/system_torch.py $(VENV)
	$(BIN)/python -m pip install --quiet --no-deps -r $(VENV)/requirements.txt
else
	$(PYTHON) -m venv $(VENV)
	# Every package is named in the lock; --no-deps because OpenCV's headless wheel stands in for the one that mmcv names.
	$(BIN)/python -m pip install --quiet --no-deps -r requirements.lock
endif
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --config-settings editable_mode=compat --editable .
	@touch $@

reference: $(READY)  ## write what is made from the code: pages of docs/reference, the schema of params.yaml, the metafile
	@python tools/docs/reference.py

lock:  ## resolve requirements.in anew (needs uv)
	uv pip compile --universal --python-version 3.11 --override requirements.override requirements.in --output-file requirements.lock
