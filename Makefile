# Needs Python 3.11 or newer and nothing else; everything is made below .venv/ and .demo/.
SHELL := /bin/sh
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help

# The first Python that really runs and is new enough: a version manager may leave a shim on PATH that fails.
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$python" && break; done)
ENVIRONMENT = $(if $(PYTHON),$(PYTHON),$(error No Python 3.11 or newer was found; name one: make PYTHON=…)) scripts/environment.py
AIRFLOW_3 = .venv/airflow-3/bin/python
AIRFLOW_2 = .venv/airflow-2/bin/python
PYTEST_ARGS ?=
BENCH_ARGS ?=
# Pairs such as airflow-3.1-python3.12; none for all of them.
MATRIX ?=
FUZZ_SECONDS ?= 120
FUZZ_CASES ?= 10000
# Tests wait more than they compute, so there are more processes than cores. Tests that start a real Airflow share two.
SPREAD = -n 4 --dist loadscope

.PHONY: help demo demo-ui test lint format types test-airflow-2 test-airflow-3 test-lowest test-matrix test-faults test-plugins test-cluster \
	test-warehouses cluster coverage fuzz bench-polling bench-transfer bench-cluster docs environments pins wheel clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-16s %s\n", $$1, $$2}' Makefile

demo: ## run the CARTO example in a real Airflow against the sandbox and show the loaded rows
	@$(ENVIRONMENT) airflow-3
	@$(AIRFLOW_3) -m scripts.demo

demo-ui: ## keep Airflow and the sandbox running, with DAGs to look at; RESET=1 starts with empty data
	@$(ENVIRONMENT) airflow-3
	@RESET=$(RESET) $(AIRFLOW_3) -m scripts.demo_ui

test: lint types test-airflow-2 test-airflow-3 ## all checks and tests, on Airflow 2.11 and the newest Airflow 3

lint: ## ruff: rules and format
	@$(ENVIRONMENT) airflow-3
	$(AIRFLOW_3) -m ruff check .
	$(AIRFLOW_3) -m ruff format --check .

format: ## let ruff correct what it can
	@$(ENVIRONMENT) airflow-3
	$(AIRFLOW_3) -m ruff check --fix .
	$(AIRFLOW_3) -m ruff format .

types: ## mypy
	@$(ENVIRONMENT) airflow-3
	$(AIRFLOW_3) -m mypy

test-airflow-3: ## the tests on the newest Airflow 3; PYTEST_ARGS="-k carto" narrows them
	@$(ENVIRONMENT) airflow-3
	$(AIRFLOW_3) -m pytest $(SPREAD) $(PYTEST_ARGS)

test-airflow-2: ## the tests that depend on the version of Airflow, on 2.11, where python3.12 or python3.11 runs
	@$(ENVIRONMENT) airflow-2
	@if [ -x $(AIRFLOW_2) ]; then \
		echo "$(AIRFLOW_2) -m pytest $(SPREAD) --airflow-side $(PYTEST_ARGS)"; \
		$(AIRFLOW_2) -m pytest $(SPREAD) --airflow-side $(PYTEST_ARGS); \
	else echo "Airflow 2.11 is not tested here: it needs python3.12 or python3.11"; fi

test-lowest: ## the tests on the oldest versions that pyproject.toml allows
	@$(ENVIRONMENT) lowest
	.venv/lowest/bin/python -m pytest $(SPREAD) $(PYTEST_ARGS)

test-matrix: ## the tests that depend on the version of Airflow, on every Airflow and Python; MATRIX="airflow-3.1-python3.12"
	@$(ENVIRONMENT) airflow-3
	$(AIRFLOW_3) -m scripts.matrix $(MATRIX) -- $(SPREAD) $(PYTEST_ARGS)

coverage: ## the tests on the newest Airflow 3, with the share of branches that they run; fails below the floor
	@$(ENVIRONMENT) airflow-3
	$(AIRFLOW_3) -m pytest $(SPREAD) --cov --cov-report=term:skip-covered -m "not system" $(PYTEST_ARGS)

fuzz: ## broken answers, run objects and files: FUZZ_SECONDS for each system, FUZZ_CASES for each reader
	@$(ENVIRONMENT) airflow-3
	FUZZ_SECONDS=$(FUZZ_SECONDS) FUZZ_CASES=$(FUZZ_CASES) $(AIRFLOW_3) -m pytest tests/fuzz $(PYTEST_ARGS)

test-faults: ## the fault suite: what dying workers, triggerers, networks and people may do to a run
	@$(ENVIRONMENT) airflow-3
	$(AIRFLOW_3) -m pytest tests/system tests/plugins -m "faults and not cluster" $(PYTEST_ARGS)

test-warehouses: ## bulk loads into data warehouses: Snowflake's emulator, BigQuery's own client
	@$(ENVIRONMENT) warehouses
	.venv/warehouses/bin/python -m pytest tests/transfers/test_warehouses.py tests/transfers/test_warehouse_bulk.py \
		$(PYTEST_ARGS)

test-plugins: ## the plug-ins against real servers; PREFECT_PYTHON names a Python that has Prefect
	@$(ENVIRONMENT) airflow-3
	PYTHONPATH="$$(echo plugins/* | tr ' ' ':')" $(AIRFLOW_3) -m pytest plugins tests/plugins -m system $(PYTEST_ARGS)

cluster: ## an Airflow of several machines on this one, beside the sandbox; needs redis-server
	@$(ENVIRONMENT) airflow-3
	@$(AIRFLOW_3) -m scripts.cluster

test-cluster: ## the fault stories on PostgreSQL, Redis and Celery, with two of each part
	@$(ENVIRONMENT) airflow-3
	$(AIRFLOW_3) -m pytest tests/system/cluster -m cluster $(PYTEST_ARGS)

bench-polling: ## what waiting costs, beside other providers' triggers; fails when a budget is missed
	@$(ENVIRONMENT) bench
	.venv/bench/bin/python -m benchmarks.polling $(BENCH_ARGS)

bench-transfer: ## what moving results costs, beside today's ways; fails when a budget is missed
	@$(ENVIRONMENT) bench
	.venv/bench/bin/python -m benchmarks.transfer $(BENCH_ARGS)

bench-cluster: ## 5,000 deferred runs over two triggerers on the cluster; BENCH_ARGS="--runs 1000"
	@$(ENVIRONMENT) airflow-3
	$(AIRFLOW_3) -m benchmarks.cluster $(BENCH_ARGS)

docs: ## build the documentation into docs/_build/
	@$(ENVIRONMENT) airflow-3
	$(AIRFLOW_3) -m sphinx -W -q -b html docs docs/_build

environments: ## make the virtual environments only
	@$(ENVIRONMENT) airflow-3 airflow-2

pins: ## renew requirements/*.txt to the newest versions
	@$(ENVIRONMENT) airflow-3
	$(AIRFLOW_3) -m scripts.pins

wheel: ## build the wheel and the sdist into dist/
	@$(ENVIRONMENT) airflow-3
	$(AIRFLOW_3) -m hatchling build

clean: ## remove everything that these targets have made
	rm -rf .cluster .coverage .coverage.* .demo .hypothesis .matrix .mypy_cache .pytest_cache .ruff_cache .venv \
		*.egg-info build dist docs/_build htmlcov
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
