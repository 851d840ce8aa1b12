# Every target that help shows.
.PHONY: $(shell sed -n 's/^\([a-z]*\):.*## .*/\1/p' $(MAKEFILE_LIST))
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin

help: ## Show this help
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

# An installed pulumi is used as it is; else one is built.
ENGINE := $(if $(shell command -v pulumi),,engine)

setup: $(VENV)/.stamp $(ENGINE) ## Prepare .venv/ and, where no pulumi is installed, .engine/bin/

$(VENV)/.stamp: pyproject.toml
	python3 -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

engine: .engine/bin/pulumi ## Build the pulumi program from Go modules, where none is installed

.engine/bin/pulumi: engine/build.sh $(wildcard engine/*/go.mod)
	@engine/build.sh .engine/bin

demo: setup ## Change an image in a local Image Builder, with pulumi up
	@$(BIN)/python engine/demo.py

examples: setup ## Run every example with the real pulumi program
	$(BIN)/python -m pytest tests/examples tests/engine/test_examples.py tests/engine/test_many_stacks.py -n 4

docs: setup ## Build the site into docs/_build/html, warnings as errors
	@$(BIN)/sphinx-build --fail-on-warning --keep-going --quiet docs docs/_build/html
	@echo docs/_build/html/index.html

recordings: setup ## Record anew what the README and docs/ show of a terminal and of a log
	@$(BIN)/python engine/record.py docs/demo.svg make demo
	@$(BIN)/python engine/record.py --as 'pulumi up --yes' docs/pipelines/terminal.svg $(BIN)/python engine/pipeline_run.py
	@$(BIN)/python engine/pipeline_run.py --non-interactive --suppress-progress </dev/null >docs/pipelines/log.txt

requests: setup ## Send the emulator 1,000 requests of each operation, made up from the service model, and print figures
	@$(BIN)/python tests/emulator/model_driven.py

load: setup ## Ask the emulator by fifty clients at once for a minute, and print figures
	@$(BIN)/python tests/emulator/many_clients.py

figures: setup ## Measure the emulator: start-up, memory with 1,000 images and 1,000 executions, requests a second
	@$(BIN)/python tests/emulator/emulator_figures.py

picture: setup ## Take the picture of the console in docs/ again, during a pulumi up
	@$(BIN)/python engine/console_picture.py

browser: ## Install Chromium and its driver by apt, as root on Debian, for the console's tests in a browser
	apt-get update --quiet
	apt-get install --quiet --yes --no-install-recommends chromium chromium-driver

MINUTES := 10

faults: setup ## Kill and disturb runs at random for ten minutes; SEED=… repeats a run
	@PYTHONPATH=engine $(BIN)/python tests/engine/random_faults.py --minutes $(MINUTES) $(if $(SEED),--seed $(SEED))

coverage: setup ## Measure which branches of provider/ the tests run, in pulumi's own processes too; slower than test
	rm -rf .coverage && mkdir .coverage
	$(BIN)/coverage run -m pytest tests/provider
	$(BIN)/coverage run -m pytest tests/engine
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report
	$(BIN)/coverage json --quiet -o .coverage/report.json
	@$(BIN)/python tests/branches.py .coverage/report.json

package: setup ## Build wheel and sdist into dist/, and use the wheel from an empty environment, all from the package index
	rm -rf dist
	$(BIN)/python -m build --outdir dist
	$(BIN)/python -m pytest tests/package --from-index

state: setup ## Keep the state that this version writes, for later versions to be tested with
	@PYTHONPATH=engine $(BIN)/python tests/package/record_release.py

versions: setup ## Test on every Python from 3.10 that is installed, and with the lowest versions the package claims
	$(BIN)/nox

# The AWS CLI pins a botocore of its own, so it gets an environment of its own.
$(VENV)/aws/bin/aws:
	python3 -m venv $(VENV)/aws
	$(VENV)/aws/bin/pip install --quiet --disable-pip-version-check awscli

.PHONY: bench
bench: setup $(VENV)/aws/bin/aws ## Measure a fleet beside other ways to do the same, into docs/; ten minutes
	@PYTHONPATH=engine $(BIN)/python bench --aws $(CURDIR)/$(VENV)/aws/bin --keep

audit: setup ## Hold what the package needs against the known vulnerabilities, with pip-audit
	$(BIN)/nox -s audit

check: setup ## Lint, formatting, types and layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

# Four at a time on any machine, shared out anew as they end: the tests with the real program wait more than they compute.
test: check ## Run everything
	$(BIN)/python -m pytest -n 4 --dist worksteal
