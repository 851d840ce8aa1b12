.PHONY: help setup engine check test
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin

help: ## Show this help
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

setup: $(VENV)/.stamp ## Prepare .venv/

$(VENV)/.stamp: pyproject.toml
	python3 -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

engine: .engine/bin/pulumi ## Build the pulumi program from Go modules, where none is installed

.engine/bin/pulumi: engine/build.sh $(wildcard engine/*/go.mod)
	engine/build.sh .engine/bin

check: setup ## Lint, formatting and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: check ## Run everything
	$(BIN)/python -m pytest
