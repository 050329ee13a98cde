# Commands for people, hooks and .ci/run. `make` without a target lists them.
# Works with GNU make 3.81 (macOS) and later. All paths are relative, so that the path of the
# checkout may contain spaces.

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet --quiet

# Each stamp is newer than the lock file it was installed from, so a second `make` does nothing.
RUNTIME := $(VENV)/.runtime-installed
DEV := $(VENV)/.dev-installed

# The newest Python with TensorFlow wheels. Choose another with `make PYTHON=python3.11`.
FIND_PYTHON = for candidate in $(if $(PYTHON),"$(PYTHON)",python3.13 python3.12 python3.11 python3); do \
	if "$$candidate" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; \
	then echo "$$candidate"; exit 0; fi; done; \
	echo "error: Python 3.11, 3.12 or 3.13 with venv is required, and was not found as python3.13, python3.12, python3.11 or python3. Install one (Debian: apt install python3 python3-venv; macOS: brew install python@3.13), or pass its path: make PYTHON=/path/to/python" >&2; exit 1

SHELL := /bin/sh

.DEFAULT_GOAL := help
.PHONY: help run test quick check docs bench ui up down doctor install lock clean

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' Makefile

run: $(RUNTIME) ## Install, download the data, run the default sweep, print the verdict (ARGS="--epochs 1")
	@$(BIN)/cnn-pipeline run $(ARGS)

ui: $(RUNTIME) ## Open the runs in MLflow's UI, on this machine only
	@$(BIN)/cnn-pipeline ui $(ARGS)

up: $(RUNTIME) ## Start Prefect, MLflow and a worker, deploy, retrain on schedule (ARGS=--detach)
	@$(BIN)/cnn-pipeline up $(ARGS)

down: $(RUNTIME) ## Stop what `make up` started
	@$(BIN)/cnn-pipeline down $(ARGS)

doctor: $(RUNTIME) ## Check servers, schedules, store and disk; say how to fix them
	@$(BIN)/cnn-pipeline doctor $(ARGS)

install: $(RUNTIME) ## Create .venv from requirements.lock and install the project into it

test: $(DEV) ## Run the whole test suite (ARGS="tests/settings/test_settings.py")
	@$(BIN)/python -m pytest $(PARALLEL) -m "slow or not slow" $(ARGS)

quick: $(DEV) ## Run what needs neither TensorFlow nor a server, in a minute (ARGS="-k gate")
	@$(BIN)/python -m pytest $(PARALLEL) --quick $(ARGS)

# A file is run by one worker, in order, so that its servers are started once.
PARALLEL = -n 2 --dist loadfile --no-loadscope-reorder

check: $(DEV) ## Lint, format, types, lock files and documentation
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/python scripts/check_lock.py
	@$(BIN)/python -m pytest --quiet -m "docs and not slow"

docs: $(DEV) ## Build the documentation into docs/_build/html; a broken link is an error
	@$(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going docs docs/_build/html
	@echo "docs/_build/html/index.html"

bench: $(RUNTIME) ## Run all benchmarks, about an hour and a half (ARGS="startup memory" for some)
	@$(BIN)/python -m benchmarks.suite $(ARGS)

lock: $(DEV) ## Regenerate requirements.lock and requirements-dev.lock from pyproject.toml
	@$(BIN)/uv pip compile pyproject.toml $(LOCK_FLAGS) --output-file requirements.lock
	@$(BIN)/uv pip compile pyproject.toml $(LOCK_FLAGS) --extra jax --extra test --extra docs --extra dev \
		--constraint requirements.lock --output-file requirements-dev.lock

LOCK_FLAGS = --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-annotate --no-header

clean: ## Remove .venv and caches; runs and data are kept
	@rm -rf $(VENV) build docs/_build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

# Without the stamp, an interrupted set-up would pass for a complete one.
$(VENV)/.made:
	@set -e; if ! $(BIN)/python -m pip --version >/dev/null 2>&1; then \
		python=`$(FIND_PYTHON)`; \
		echo "making $(VENV) with `"$$python" --version`"; \
		"$$python" -m venv --clear $(VENV); \
	fi; touch $@

# The lock is complete, so pip has nothing to resolve (--no-deps). Without --no-deps, pip looks for
# other versions of packages that are required with an extra, and refuses them without a hash.
# The build is offline, because setuptools is in the lock. Editable, so that the sources are used.
$(RUNTIME): requirements.lock pyproject.toml | $(VENV)/.made
	@echo "installing the packages of requirements.lock; this takes some minutes the first time"
	@$(PIP) install --require-hashes --no-deps -r requirements.lock
	@$(PIP) install --no-deps --no-build-isolation --no-index --editable .
	@$(PIP) check
	@touch $@

$(DEV): requirements-dev.lock $(RUNTIME)
	@echo "installing the packages of requirements-dev.lock"
	@$(PIP) install --require-hashes --no-deps -r requirements-dev.lock
	@touch $@
