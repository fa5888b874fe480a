# `make demo` and `make test` do all of the set-up in .venv; `make help` lists everything.
# One stamp file stands for a finished installation of exactly these pins in exactly this folder, so that a
# second run installs nothing. Machine settings of pip are used as they are: the pins in constraints.txt decide.

SHELL := /bin/sh
VENV := .venv
PYTHON := $(VENV)/bin/python
STATE := $(shell { cat constraints.txt setup.py Makefile; pwd; } | cksum | cut -d' ' -f1)
STAMP := $(VENV)/.installed-$(STATE)
# Without compilation: Python compiles what is imported when it is imported, and most of it never is.
INSTALL := $(PYTHON) -m pip install --disable-pip-version-check --no-build-isolation --no-compile -c constraints.txt
# Their declared dependencies cannot be installed (chumpy, xtcocotools, a second OpenCV); the extra "openmmlab"
# of setup.py has what they need.
OPENMMLAB := mmengine mmcv-lite mmdet mmpose mmaction2
SUPPORTED := 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))'
ARGS :=

unexport PYTHONPATH PYTHONHOME PIP_CONSTRAINT PIP_TARGET PIP_PREFIX PIP_USER PIP_REQUIREMENT

.PHONY: help setup test test-fast demo lint clean
.DEFAULT_GOAL := help

help:
	@echo "make setup     install everything in $(VENV) (Python 3.11 or 3.12; once)"
	@echo "make test      set up and run the tests; ARGS='-k name' goes to pytest"
	@echo "make demo      set up, train and test two small models, ask about a real clip"
	@echo "make test-fast the tests that take no more than a minute and a half, on two cores"
	@echo "make lint      set up and check style and types"
	@echo "make clean     remove $(VENV) and caches; runs/ and data/ stay"

setup: $(STAMP)
	@echo "$(VENV) is ready"

test: $(STAMP)
	@$(PYTHON) -m pytest $(ARGS)

test-fast: $(STAMP)
	@OMP_NUM_THREADS=1 $(PYTHON) -m pytest -m "not slow" -n 2 $(ARGS)

demo: $(STAMP)
	@$(PYTHON) tools/demo.py $(ARGS)

lint: $(STAMP)
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m ruff format --check .
	@$(PYTHON) -m mypy

clean:
	rm -rf $(VENV) *.egg-info .pytest_cache .ruff_cache .hypothesis

# BASE=/path/to/python takes that interpreter; otherwise the first that is 3.11 or 3.12 and makes a venv.
$(STAMP):
	@rm -f $(VENV)/.installed-*
	@if ! { $(PYTHON) -c $(SUPPORTED) && $(PYTHON) -m pip --version; } >/dev/null 2>&1; then \
	  for base in $(BASE) python3.11 python3.12 python3 python; do \
	    "$$base" -c $(SUPPORTED) 2>/dev/null || continue; \
	    echo "[1/4] virtual environment $(VENV) from $$base"; \
	    rm -rf $(VENV); \
	    "$$base" -m venv $(VENV) && break; \
	    echo "$$base cannot make a virtual environment; trying the next"; \
	  done; \
	fi
	@{ $(PYTHON) -c $(SUPPORTED) && $(PYTHON) -m pip --version; } >/dev/null 2>&1 || { \
	  echo "setup failed: expected Python 3.11 or 3.12 with venv, found none on PATH; install one (Debian: apt install python3.11-venv) or say make setup BASE=/path/to/python" >&2; exit 1; }
	@echo "[2/4] installer"
	@$(INSTALL) -q pip setuptools || { \
	  echo "setup failed: pip could not reach a package registry (its reason is above); check the network or pip's settings and run make setup again" >&2; exit 1; }
	@echo "[3/4] torch, transformers, lightning and the rest (about 3 GB to load, 6 GB on disk)"
	@$(INSTALL) torch torchvision -e ".[vision,openmmlab,lora,onnx,dev]" || { \
	  echo "setup failed: the packages of constraints.txt could not be installed (pip's reason is above); mend that and run make setup again" >&2; exit 1; }
	@echo "[4/4] OpenMMLab"
	@$(INSTALL) --no-deps $(OPENMMLAB) || { \
	  echo "setup failed: the OpenMMLab packages could not be installed (pip's reason is above); mend that and run make setup again" >&2; exit 1; }
	@touch $@
