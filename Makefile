# One target per verb. Each first creates .venv with the locked packages, once.
PYTHON ?= python3
UV_VERSION := 0.13.9
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest -n 2
# For the oldest Python of the project's own environment; the function runs on an older one, with a model's packages.
LOCK := $(BIN)/uv pip compile --universal --python-version 3.11 --quiet --custom-compile-command 'make lock'

.PHONY: help demo test check slow fuzz soak bench compare lint lock clean
help:  ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: .venv/installed  ## train, publish, serve and query a model, all on this machine
	@$(BIN)/python -m local demo

test: .venv/installed  ## run the fast tests
	$(PYTEST)

check: lint  ## run what CI runs: lint, the fast tests, those that take longer or create environments; print the coverage
	rm -f .coverage
	FUZZ_SECONDS=8 $(PYTEST) --cov --cov-report= -m 'not slow'
	@echo "Coverage: $$($(BIN)/coverage report --format=total)% of the lines, by tests that run in pytest's own processes"

slow: .venv/installed  ## run the longest tests: every step of a deployment failing, 300 sequences of faults
	$(PYTEST) -m slow

fuzz: .venv/installed  ## send random requests to the running function, for a quarter of an hour
	FUZZ_SECONDS=960 $(BIN)/python -m pytest -s -m 'not slow' tests/fuzz

soak: .venv/installed  ## put the function under full load for a quarter of an hour: replies, memory, files, many models
	$(BIN)/python -m tests.soak --minutes 10
	$(BIN)/python -m tests.soak.many --minutes 3

bench: .venv/installed  ## measure against the baselines, 30 minutes; with AGAINST=COMMIT against that commit; QUICK=1 for less
	@$(BIN)/python -m benchmarks$(if $(AGAINST),.against $(AGAINST) $(if $(ROUNDS),--rounds $(ROUNDS))) $(if $(QUICK),--quick)

compare: .venv/installed  ## train beside LightGBM, FLAML and others on 19 data sets, for hours; goes on where it was stopped
	@$(BIN)/python -m benchmarks.compare $(if $(MINUTES),--minutes $(MINUTES))

lint: .venv/installed  ## ruff, mypy and shellcheck
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/shellcheck -x -a deploy.sh

lock: .venv/installed  ## pin the packages of pyproject.toml again; the function's are a subset of all
	$(LOCK) --group train --group deploy --group local --group bench --group dev --no-emit-package bqlocal \
		pyproject.toml -o requirements-dev.txt
	$(LOCK) --constraint requirements-dev.txt pyproject.toml -o requirements.txt
	$(LOCK) --group mlserver -o benchmarks/mlserver.txt
	$(LOCK) --group dbt -o tests/sql/dbt.txt
	$(LOCK) --group rivals -o benchmarks/compare/rivals.txt

clean:  ## remove what make created; mlflow.db, mlruns/ and your models stay
	rm -rf .venv .deploy benchmarks/.venv-mlserver benchmarks/compare/.venv-rivals demo-output bqlocal/bqlocal.egg-info
	rm -rf .pytest_cache .ruff_cache .mypy_cache .hypothesis .coverage

.venv/installed: requirements-dev.txt bqlocal/pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info < (3, 14) else "Python 3.11, 3.12 or 3.13 is needed, %s is %s: name another with make PYTHON=..." % (sys.executable, sys.version.split()[0]))'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	# Compile now, as the builder of Cloud Functions does, instead of at every start that finds nothing compiled.
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python -r requirements-dev.txt --editable ./bqlocal
	@touch $@
