# Every target that help shows.
.PHONY: $(shell sed -n 's/^\([a-z]*\):.*## .*/\1/p' $(MAKEFILE_LIST))
.DEFAULT_GOAL := help

PYTHON := python3
VENV := .venv
BIN := $(VENV)/bin

help: ## Show this help
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

setup: ## Prepare .venv/ and, where no pulumi is installed, build one into .engine/bin/: minutes once, then nothing
	@$(PYTHON) -m tools.setup

demo: setup ## Change an image in a local Image Builder, with pulumi up
	@$(BIN)/python -m tools.demo

# Four at a time on any machine, shared out anew as they end: the tests with the real program wait more than they compute.
test: check ## Run every test, with the real pulumi program and a local Image Builder
	$(BIN)/python -m pytest -n 4 --dist worksteal

check: setup ## Lint, formatting, types and layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

HISTORIES := 10000
simulate: setup ## Try random histories in simulated time; HISTORIES=… how many, SEED=… repeats a run
	@$(BIN)/python -m tests.simulation --histories $(HISTORIES) $(if $(SEED),--seed $(SEED))

MINUTES := 10
faults: setup ## Kill and disturb runs of the real pulumi program at random for MINUTES=10; SEED=… repeats a run
	@$(BIN)/python -m tests.engine.random_faults --minutes $(MINUTES) $(if $(SEED),--seed $(SEED))

live: setup ## Try the provider on AWS, on a sacrificial image: IMAGE=arn:… ROLE=…; asks before it changes anything
	@$(BIN)/python -m tests.live $(if $(IMAGE),--image $(IMAGE)) $(if $(ROLE),--role $(ROLE)) $(OPTIONS)

# The AWS CLI pins a botocore of its own, so it gets an environment of its own.
$(VENV)/aws/bin/aws: | setup
	$(PYTHON) -m venv $(VENV)/aws
	$(VENV)/aws/bin/pip install --quiet --disable-pip-version-check awscli

bench: setup $(VENV)/aws/bin/aws ## Measure a fleet beside other ways to do the same, into docs/; ten minutes
	@$(BIN)/python -m bench --aws $(CURDIR)/$(VENV)/aws/bin --keep

coverage: setup ## Measure which branches of provider/ the tests run, in pulumi's own processes too; slower than test
	rm -rf .coverage && mkdir .coverage
	$(BIN)/coverage run -m pytest tests/provider
	$(BIN)/coverage run -m pytest tests/engine
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report
	$(BIN)/coverage json --quiet -o .coverage/report.json
	@$(BIN)/python tests/branches.py .coverage/report.json

versions: setup ## Test on every Python that is installed, with the lowest and the newest of what the package needs
	$(BIN)/nox

docs: setup ## Build the site into docs/_build/html, warnings as errors
	@$(BIN)/sphinx-build --fail-on-warning --keep-going --quiet docs docs/_build/html
	@echo docs/_build/html/index.html

package: setup ## Build both distributions into dist/, and use them from empty environments, all from the package index
	rm -rf dist
	$(BIN)/python -m build --outdir dist emulator
	$(BIN)/python -m build --outdir dist
	$(BIN)/python -m pytest tests/package --from-index

browser: ## Install Chromium and its driver by apt, as root on Debian, for the console's tests in a browser
	apt-get update --quiet
	apt-get install --quiet --yes --no-install-recommends chromium chromium-driver
