# demo   two pictures from a fresh spool     test    the whole test suite
# check  lint, formats, types, import rules  bench   the figures of docs/benchmarks.md
# clean  remove the virtual environment      stress  5000 jobs, 1000 kills: nothing lost or doubled
# bench-gallery  the figures of a gallery of a million pictures, in some ten minutes
# embedded-model  train the shipped model and its LoRA from nothing: minutes on a GPU, days without
# contract  schemathesis against a running server, 300 examples an operation

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.stamp

.PHONY: demo test check format bench bench-gallery stress contract clean embedded-model

demo: $(STAMP)
	@$(BIN)/genzo demo

test: $(STAMP)
	$(BIN)/python -m pytest

check: $(STAMP)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP)
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: $(STAMP)
	$(BIN)/python -m tests.bench

bench-gallery: $(STAMP)
	$(BIN)/python -m tests.bench.gallery

stress: $(STAMP)
	$(BIN)/python -m tests.stress

embedded-model: $(STAMP)
	$(BIN)/python -m daemon.embedded.recipe train
	$(BIN)/python -m daemon.embedded.recipe lora

contract: $(STAMP)
	CONTRACT_EXAMPLES=300 $(BIN)/python -m pytest tests/httpd/test_contract.py

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis

# torch stands in the same command as its pin: a later one would replace it by the newest CUDA
# build. Byte code is compiled when a module is first used, which halves the install.
$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "genzo needs Python 3.11 or newer")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --no-compile --quiet --disable-pip-version-check \
		-c constraints.txt torch==2.13.0 -e '.[test]'
	touch $@
