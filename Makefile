# Thin calls of myna commands and standard tools: CONTRIBUTING.md has them for Windows.

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help setup demo test fuzz check format bench bench-train docs clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' Makefile

setup: .venv/.dev ## Create .venv with everything for development

demo: .venv/.train ## Clone the crew of Apollo 11, from the download to a conversation
	$(BIN)/myna demo

test: check ## Run all checks and tests
	$(BIN)/python -m pytest -n logical --maxprocesses 4 --dist worksteal

fuzz: .venv/.dev ## Search for failing examples: ROUNDS of random ones, then damaged exports for MINUTES
	for round in $$(seq $(or $(ROUNDS),5)); do \
	  MYNA_EXAMPLES=fuzz $(BIN)/python -m pytest -n logical --maxprocesses 4 -m "hypothesis and not model" || exit 1; \
	done
	$(BIN)/python benchmarks/fuzz.py --minutes $(or $(MINUTES),0.5)

check: .venv/.dev ## Check lint, formatting, types and import rules
	$(BIN)/python -m ruff check
	$(BIN)/python -m ruff format --check
	$(BIN)/python -m mypy
	$(BIN)/lint-imports --no-logo

format: .venv/.dev ## Format the code, and apply the linter's fixes
	$(BIN)/python -m ruff check --fix
	$(BIN)/python -m ruff format

bench: .venv/.dev ## Print the speed of imports, prepare and starts as one table, with ratios
	$(BIN)/python benchmarks

bench-train: .venv/.dev ## Compare training speed with peft and TRL: see docs/training-speed.md
	$(BIN)/python benchmarks/training.py $(if $(TRL),--trl-python $(TRL)) $(if $(FACTORY),--factory-python $(FACTORY))

docs: .venv/.dev ## Generate docs/commands.md and docs/sources.md
	$(BIN)/python -m typer myna.cli utils docs --name myna --title Commands --output docs/commands.md
	$(BIN)/python docs/sources.py

clean: ## Remove .venv, builds and caches, but no chats, models or adapters
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find src tests benchmarks docs -name __pycache__ -type d -exec rm -rf {} +

# Each stamp says what .venv holds; a changed pyproject.toml or constraints.txt renews it.

.venv/.made:
	@command -v "$(PYTHON)" >/dev/null || \
	{ echo "no $(PYTHON) here: install Python 3.11 or newer, or name it: make PYTHON=/path/to/python3" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	{ echo "$(PYTHON) is older than 3.11: install a newer one, and name it: make PYTHON=python3.11" >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || \
	{ echo "$(PYTHON) cannot make virtual environments: install python3-venv (Debian, Ubuntu: sudo apt install python3-venv)" >&2; exit 1; }
	"$(PYTHON)" -m venv .venv
	@touch $@

.venv/.train: .venv/.made pyproject.toml constraints.txt
	$(PIP) install -c constraints.txt -e '.[train]'
	@touch $@

.venv/.dev: .venv/.made pyproject.toml constraints.txt
	$(PIP) install -c constraints.txt -e '.[dev]'
	@touch .venv/.train $@
