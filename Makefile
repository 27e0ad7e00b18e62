# `make help` lists the targets.

PYTHON ?= python3
SOURCE ?= synthetic
ARGS ?=
POOL ?= cpu
CARD ?=
WEBHOOK ?=
BIN := .venv/bin
# To the shell as a variable: written into a command, a blank, quote, `&` or `*` in it would be the shell's own.
export SOURCE

# Usage reports of Prefect and MLflow are off; README.md says how to turn them on.
export DO_NOT_TRACK ?= true
export PREFECT_SERVER_ANALYTICS_ENABLED ?= false
export MLFLOW_DISABLE_TELEMETRY ?= true
# Let idle threads sleep soon: spinning ones slow training down on cores that other processes use too.
export OMP_WAIT_POLICY ?= passive
export GOMP_SPINCOUNT ?= 10000
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help run ui deploy worker notify test test-slow check bench fuzz real-files kill-loop load audit clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

run: .venv/run.stamp ## Run the pipeline: make run [SOURCE=ratings.csv] [ARGS="--set train.epochs=5"]
	@$(BIN)/cfmodel run "$$SOURCE" $(ARGS)

test: .venv/dev.stamp check ## Lint, check format and types, run all tests but the slow ones
	@$(BIN)/pytest $(ARGS)

test-slow: .venv/dev.stamp ## Run the slow tests: every command of the README and the guides
	@$(BIN)/pytest -m slow $(ARGS)

check: .venv/dev.stamp ## Lint, check format and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

bench: .venv/dev.stamp ## Run the benchmarks and print their tables; takes half an hour, and needs CFMODEL_DATA_DIR
	@for table in epoch ingest accuracy monitor range_test health; do $(BIN)/python benchmarks/$$table.py || exit 1; done

fuzz: .venv/dev.stamp ## Try 100,000 damaged files and settings: make fuzz [INPUTS=100000] [SEED=0]
	@$(BIN)/python tests/support/fuzzing.py --inputs $(or $(INPUTS),100000) --seed $(or $(SEED),0)

real-files: .venv/dev.stamp ## Try 567 made-up files of ratings of many kinds: make real-files [ARGS="--show"]
	@$(BIN)/python benchmarks/real_files.py $(ARGS)

kill-loop: .venv/dev.stamp ## Kill a pipeline at 50 random moments, and compare it with one that was not; takes hours
	@$(BIN)/python benchmarks/kills.py $(ARGS)

load: .venv/dev.stamp ## Run the pipeline twice on 25 million ratings with 4 GiB of memory and 2 cores; needs root
	@$(BIN)/python benchmarks/load.py $(ARGS)

# The auditor has its own environment. It fails if it cannot look a package up, since that is not an all-clear.
audit: ## Check the pinned dependencies for known vulnerabilities; needs the network
	@$(PYTHON) -m venv .venv/audit
	@.venv/audit/bin/pip install --quiet pip-audit==2.10.1
	@.venv/audit/bin/pip-audit --strict --requirement constraints.txt --disable-pip --no-deps --progress-spinner off

ui: .venv/run.stamp ## Open MLflow on the store that `make run` wrote to
	@$(BIN)/cfmodel ui

deploy: .venv/run.stamp ## Deploy prefect.yaml, on a local Prefect server unless PREFECT_API_URL names another
	@$(BIN)/python -m flows.deploy

worker: .venv/run.stamp ## Start a worker for the deployments: make worker [POOL=gpu CARD=0]
	@$(BIN)/python -m flows.worker --pool $(POOL) $(if $(CARD),--card $(CARD)) $(ARGS)

notify: .venv/run.stamp ## Have Prefect call a webhook when a run fails or is late: make notify WEBHOOK=https://...
	@$(BIN)/python -m flows.notify $(WEBHOOK)

clean: ## Remove the environment and the caches of tools; data and runs stay
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis dist

.venv/run.stamp: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("cfmodel needs Python 3.11 or later: make PYTHON=python3.11") if sys.version_info < (3, 11) else None'
	@echo "Setting up .venv from constraints.txt; this takes a minute or two, once."
	@$(PYTHON) -m venv .venv
	@$(BIN)/pip install --quiet -c constraints.txt -e '.[flows]'
	@touch $@

.venv/dev.stamp: .venv/run.stamp
	@$(BIN)/pip install --quiet -c constraints.txt -e '.[flows,dev]'
	@touch $@
