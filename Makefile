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
.PHONY: help run test quick faults numbers check docs audit fuzz bench ui up down doctor install lock clean

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
	@$(BIN)/python -m pytest $(PARALLEL) -m "not long" $(ARGS)

quick: $(DEV) ## Run what needs neither TensorFlow nor a server, in a minute (ARGS="-k gate")
	@$(BIN)/python -m pytest $(PARALLEL) --quick $(ARGS)

# Without ARGS the table is made anew; with ARGS the rows of other tests stay as they are.
faults: $(DEV) ## Break things for an hour, write docs/reliability.md (ARGS="tests/faults/test_signals.py")
	@mkdir -p build && rm -f build/faults.jsonl
	@$(BIN)/python -m pytest $(PARALLEL) -m "fault or long" --faults build/faults.jsonl $(ARGS); failed=$$?; \
	$(BIN)/python scripts/faults_table.py $(if $(ARGS),--keep) build/faults.jsonl && exit $$failed

numbers: $(DEV) ## Compare small trainings with the digits of an older commit (ARGS=--write stores new ones)
	@$(BIN)/python -m scripts.same_numbers $(or $(ARGS),--check)

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

audit: $(DEV) ## Ask for known advisories of the packages in requirements.lock (needs the network)
	@$(BIN)/python -m scripts.audit $(ARGS)

fuzz: $(DEV) ## Feed the readers of files and requests bytes of any kind, ten minutes (ARGS="idx")
	@$(BIN)/python -m tests.fuzz $(ARGS)

bench: $(RUNTIME) ## Run all benchmarks, about two hours (ARGS="startup memory" for some)
	@$(BIN)/python -m benchmarks.suite $(ARGS)

lock: $(DEV) ## Regenerate requirements.lock and requirements-dev.lock from pyproject.toml
	@$(BIN)/uv pip compile pyproject.toml $(LOCK_FLAGS) --output-file requirements.lock
	@$(BIN)/uv pip compile pyproject.toml $(LOCK_FLAGS) --extra jax --extra postgres --extra ray --extra s3 \
		--extra search --extra test --extra docs --extra dev --constraint requirements.lock --output-file requirements-dev.lock

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

# uv installs in half a minute what takes pip three. Its version and hashes are in the development
# lock. pip installs where uv has no wheel, or cannot reach an index that only pip is told of.
$(VENV)/.uv: requirements-dev.lock | $(VENV)/.made
	@sed -n '/^uv==/,/[^\\]$$/p' requirements-dev.lock > $@
	@$(PIP) install --require-hashes --no-deps --only-binary :all: -r $@ || rm -f $(BIN)/uv

# A lock is complete, so there is nothing to resolve (--no-deps). Without --no-deps, pip looks for
# other versions of packages that are required with an extra, and refuses them without a hash.
LOCKED = --require-hashes --no-deps -r
INSTALL = install_lock() { \
	echo "installing the packages of $$1"; \
	if [ -x $(BIN)/uv ] && $(BIN)/uv pip install --python $(BIN)/python --compile-bytecode $(LOCKED) "$$1"; \
	then return; fi; \
	echo "uv could not install them; pip does, which takes some minutes"; \
	$(BIN)/python -m pip --disable-pip-version-check install $(LOCKED) "$$1"; }; install_lock

# The build is offline, because setuptools is in the lock. Editable, so that the sources are used.
$(RUNTIME): requirements.lock pyproject.toml | $(VENV)/.uv
	@$(INSTALL) requirements.lock
	@$(PIP) install --no-deps --no-build-isolation --no-index --editable .
	@$(PIP) check
	@touch $@

$(DEV): requirements-dev.lock $(RUNTIME)
	@$(INSTALL) requirements-dev.lock
	@touch $@
