# make env | reproduce | test | lab | notebooks | lint: each sets up .venv when it is missing. Needs Python 3.11 or later.
# make notebooks PAGES='02_network 03_training' runs these lessons alone and keeps their outputs in the pages.
# PIP_ARGS is handed to pip when .venv is set up.
PYTHON ?= python3
PIP_ARGS ?=
PAGES ?=
BIN := .venv/bin
# a process for each core, up to four; a file's tests stay together, the slow files come first (tests/conftest.py)
PARALLEL := -n logical --maxprocesses 4 --dist loadscope --no-loadscope-reorder

.PHONY: env reproduce test unit float32 lab notebooks lint clean

env: .venv/ready

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("histcolor needs Python 3.11 or later: make PYTHON=python3.11 env") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) -c constraints.txt -e '.[notebooks,dev]'
	touch $@

reproduce: env
	$(BIN)/histcolor reproduce

test: env
	$(BIN)/python -m pytest $(PARALLEL)

unit: env
	$(BIN)/python -m pytest $(PARALLEL) -m 'not slow'

# training as on a processor without bfloat16: the answer is forced, whatever this one can
float32: env
	HISTCOLOR_PRECISION=float32 $(BIN)/python -m pytest $(PARALLEL) -q tests/test_train.py tests/test_device.py tests/experiments/test_run.py

lab: env
	$(BIN)/jupyter lab notebooks

notebooks: env
	$(BIN)/python -m histcolor.lessons.outputs $(PAGES)

lint: env
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports

clean:
	rm -rf .venv build *.egg-info results/reproduce
