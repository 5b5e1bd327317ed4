# Everything runs in .venv, which `make install` makes; each target does its own set-up.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: install demo test lint bench mutants torture report clean

install: $(READY)

$(READY): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt torch==2.13.0
	$(BIN)/pip install --quiet --use-pep517 --disable-pip-version-check -c constraints.txt -e ".[test,lint]"
	touch $@

demo: $(READY)
	$(BIN)/fewlabels demo --out demo

report: $(READY)
	$(BIN)/python -m fewlabels.experiments.reports results
	test ! -e demo/results.jsonl || $(BIN)/python -m fewlabels.demo.report demo

test: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --dist worksteal

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

bench: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/bench.py

mutants: $(READY)
	$(BIN)/python benchmarks/mutants.py

torture: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/torture.py

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis demo
