VENV ?= .venv
BIN := $(VENV)/bin
CORPUS ?= ravdess
DATA ?=

.PHONY: help venv demo test chaos cluster lint types bench clean

help:  ## say what there is
	@grep -hE '^[a-z-]+.*:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z%-]+):.*## /\1\t/' | expand -t 20

venv:  ## create or update the virtual environment
	@infra/install.sh $(VENV) dev

demo: venv  ## the main job from end to end; CORPUS=emodb DATA=/path for real recordings
	@$(BIN)/python jobs/demo.py --corpus $(CORPUS) $(if $(DATA),--data $(DATA))

test: lint types  ## lint, type check, tests; in two processes, because those that start Ray mostly wait
	@$(BIN)/python -m pytest -n 2 --dist loadgroup

chaos: venv  ## nights that are killed at 20 random moments, an object store that fails, a training whose machine is lost
	@RAYSEE_AT_LENGTH=1 RAYSEE_CHAOS_KILLS=20 $(BIN)/python -m pytest tests/distributed/test_chaos.py tests/distributed/test_large.py

cluster: venv  ## every job on a cluster of this machine, and a node that is lost in a training
	@RAYSEE_AT_LENGTH=1 $(BIN)/python -m pytest tests/distributed/test_submit.py

lint: venv  ## ruff
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: venv  ## mypy, strict on raysee/
	@$(BIN)/mypy

bench: bench-extract  ## the benchmarks that fit in 15 minutes; real recordings in RAYSEE_REAL_DATA

bench-%: venv  ## one benchmark: benchmarks/NAME.py
	@$(BIN)/python benchmarks/$*.py

clean:  ## delete the virtual environment and what the demo made
	rm -rf $(VENV) .demo
