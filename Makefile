# Every command of the README. Nothing is written outside the checkout and PIPELINE_HOME.
SHELL := /bin/bash
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
export PIPELINE_HOME ?= $(CURDIR)/.pipeline
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# every process that a test starts would compile the house anew, for a fifth of what its imports take
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run test coverage elsewhere versions up lint bench bench-counts chaos decision-diff docs pictures tools clean

run: $(STAMP)  ## sixty sample nights, and a page at the end
	$(BIN)/pipeline demo

test: $(STAMP)  ## everything, in minutes
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

coverage: $(STAMP)  ## the same, and which lines nothing ran
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --cov

elsewhere: $(STAMP)  ## the numerical tests as on a plainer processor, whole nights on one core
	$(BIN)/python -m tests.elsewhere

versions: $(STAMP)  ## part of the tests on other Pythons that are here, and with earlier minor releases of packages
	$(BIN)/python -m tests.versions

up: $(STAMP)  ## database, Dagster and MLflow, until Ctrl-C
	$(BIN)/pipeline up

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tests.lint  # code that nobody uses, class names that stand for two things

bench: $(STAMP)
	$(BIN)/python -m benchmarks

bench-counts: $(STAMP)  ## what a night asks of databases, lake and Dagster, held to benchmarks/counts.json
	$(BIN)/python -m benchmarks.counts

chaos: $(STAMP)  ## races, kills, faults and tampering, and each suite without its protection
	$(BIN)/python -m benchmarks.chaos --write docs/chaos.md

decision-diff: $(STAMP)  ## what this tree decides otherwise than was accepted; ACCEPT=1 accepts it
	$(BIN)/python -m tests.decision_diff $(if $(ACCEPT),--accept)

docs: $(STAMP)  ## what is generated from the code
	$(BIN)/python -m pipeline_project.spec.docs > docs/workflows.md

pictures: $(STAMP)  ## the README's pictures; needs chromium
	$(BIN)/python -m docs.pictures

tools: .tools/bin/helm  ## docker-compose, hadolint, helm: with them `make test` checks deploy/ by the tools themselves

.tools/bin/helm: deploy/tools.lock deploy/tools.py $(STAMP)
	$(BIN)/python deploy/tools.py deploy/tools.lock .tools

clean:
	-$(BIN)/pipeline down
	rm -rf $(VENV) .tools .pipeline

$(STAMP): requirements.lock pyproject.toml
	test -x $(BIN)/python || $$(command -v $(PYTHON) || command -v python3) -m venv $(VENV)
	# torch first and with what it needs: where pip finds only its CUDA build, that is more than the lock names
	$(BIN)/pip install --quiet --constraint requirements.lock torch
	$(BIN)/pip install --quiet --no-deps --requirement requirements.lock  # the lock names every package
	$(BIN)/pip check --quiet
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@
