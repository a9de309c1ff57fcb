# Segdeck. `make run` and `make test` need Python 3.11 and make, nothing else.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
HOST ?= 127.0.0.1
PORT ?=
MODE ?= sandbox

BIN := .venv/bin
RUN := .venv/.ready-to-run
COMMAND := $(BIN)/segdeck
DEV := .venv/.ready-to-test

.DEFAULT_GOAL := help
.PHONY: help run test test-fast check fix docs bench soak sandbox demo-models check-models clients

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(COMMAND) ## Start the dashboard on the sandbox; MODE=aws uses your AWS account; HOST= and PORT= set the address
	@exec $(COMMAND) run --mode=$(MODE) --host=$(HOST) $(if $(PORT),--port=$(PORT))

test: $(DEV) ## Run every test, those in Chromium included
	@tools/system.sh chromium
	@unset PYTHONDONTWRITEBYTECODE; $(BIN)/python -m pytest -n auto # without bytecode files, each worker compiles all tests: 6 s

test-fast: $(DEV) ## Run the tests that need no browser, no sandbox and no MXNet
	@unset PYTHONDONTWRITEBYTECODE; $(BIN)/python -m pytest -q -n auto --ignore=tests/browser -p no:playwright -m "not sandbox and not mxnet"

check: $(DEV) ## Run the linter, the type checker and the import rules
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m pytest -q tests/test_layers.py

fix: $(DEV) ## Format the code and fix what the linter can fix
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

docs: $(DEV) ## Write docs/command-line from the help of the commands
	@$(BIN)/python -m tools.command_line_docs

bench: $(DEV) ## Measure every performance claim of the documentation
	@for file in $(filter-out bench/soak.py,$(wildcard bench/[a-z]*.py)); do echo "== $$file"; $(BIN)/python -m "bench.$$(basename $$file .py)" || exit 1; done

soak: $(DEV) ## Measure the dashboard's memory for 20 minutes with 30 users
	@$(BIN)/python -m bench.soak

sandbox: $(COMMAND) ## Run the sandbox without the dashboard; prints how to point any AWS client at it
	@exec $(COMMAND) sandbox

demo-models: $(DEV) ## Train the two demo models again, with their model cards and images
	@$(BIN)/pip install -q --group demo
	@$(BIN)/python -m sandbox.demo.make

check-models: $(DEV) ## Measure the demo models again and compare with their model cards
	@$(BIN)/pip install -q --group demo
	@$(BIN)/python -m sandbox.demo.check

clients: $(RUN) ## Test the sandbox with the AWS CLI 1 and 2, the SageMaker SDK 2 and 3, and AWS's notebook (downloads 3 GB)
	@tests/clients/run

$(RUN): requirements.txt
	@tools/system.sh venv $(PYTHON)
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "Installing Segdeck into .venv (about a minute, once) ..."
	@$(BIN)/python -m pip install -q --disable-pip-version-check --upgrade 'pip>=25.1' 'setuptools>=77'
	@$(BIN)/python -m pip install -q --disable-pip-version-check -r requirements.txt
	@tools/system.sh algorithm
	@touch $@

# The checkout itself, in editable mode: code changes need no new installation.
$(COMMAND): $(RUN) pyproject.toml
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation -e . # -qq: setuptools warns of every editable install
	@touch $@

$(DEV): $(COMMAND) pyproject.toml
	@$(BIN)/python -m pip install -q --disable-pip-version-check --group dev
	@touch $@
