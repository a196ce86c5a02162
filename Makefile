# `make` lists the commands. All of them work in .venv, which is made on first use.

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PYTEST := $(BIN)/python -m pytest
SEEDS ?= 1000
STORM ?= 120

export PYTHONHASHSEED := 0
# the tests start hundreds of processes: each of them would compile all of the package anew
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo test test-all test-chaos coverage check bench sim docs format clean

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(READY) ## a manager, two workers and a real pipeline (ONCE=1: exit when it is done)
	@$(BIN)/python examples/stdlib_report/demo.py $(if $(ONCE),--once)

test: coverage ## all tests but the long ones; core and protocol at 100 % of branches
	$(PYTEST) -n 2 --dist worksteal --ignore tests/unit/core --ignore tests/unit/protocol --ignore tests/e2e
	$(PYTEST) -n 4 --dist worksteal tests/e2e

test-all: coverage ## all tests, the long ones too (more seeds, default leases, soak)
	$(PYTEST) -m "" -n 2 --dist worksteal --seeds $(SEEDS) --ignore tests/unit/core --ignore tests/unit/protocol --ignore tests/e2e
	$(PYTEST) -m "" -n 4 --dist worksteal tests/e2e

test-chaos: $(READY) ## three managers on PostgreSQL under a nemesis for two minutes (STORM=seconds)
	EASYJOBS_TEST_STORM=$(STORM) $(PYTEST) -s tests/e2e/test_fleet.py

coverage: $(READY) ## the rules' own unit tests, which must reach every branch of core and protocol
	$(BIN)/coverage run -m pytest tests/unit/core tests/unit/protocol
	$(BIN)/coverage report --fail-under 100
	$(BIN)/python tests/architecture/alone.py

check: $(READY) ## formatting, lint, types and the floors of the house
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(READY) ## measure, print a table, write benchmarks/results/*.json
	$(BIN)/python -m benchmarks

sim: $(READY) ## the simulation with SEEDS=n seeds
	$(PYTEST) -m "" tests/simulation --seeds $(SEEDS) --timeout 0

docs: $(READY) ## build the documentation into site/
	$(BIN)/zensical build --clean

format: $(READY) ## format the code and repair what ruff can repair
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean: ## remove all that these commands made
	rm -rf $(VENV) site dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .coverage .coverage.*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): pyproject.toml | $(BIN)/python
	@echo "installing easyjobs and its tools into $(VENV)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

# a found name may be an old version, a shim without a Python behind it, or a Python without venv: so each is tried
$(BIN)/python:
	@for python in $(PYTHON) python3 python3.14 python3.13 python3.12 python3.11 python; do \
	    if $$python -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	        exec $$python -m venv $(VENV); \
	    fi; \
	done; \
	echo "easyjobs needs Python 3.11 or newer with its venv module (on Debian: apt install python3-venv)." >&2; \
	echo "None was found on PATH; name one with: make PYTHON=/path/to/python3" >&2; \
	exit 1
