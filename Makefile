# make demo: install, run the main job on the embedded data, draw the figures.   make test: install, lint, types, tests, doctests.
# Tests in a browser need Debian's chromium; where it is missing they say so and are skipped.
PYTHON ?= python3
BIN := .venv/bin
JOBS ?= 2
export MPLBACKEND := Agg

.PHONY: install demo test lint types clean

install: .venv/.installed

.venv/.installed: pyproject.toml requirements.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet torch==2.13.0
	$(BIN)/python -m pip install --quiet --requirement requirements.txt
	$(BIN)/python -m pip install --quiet --no-deps torchvision==0.28.0  # its networks, in tests alone
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	touch $@

demo: install
	$(BIN)/python -m full_scale run digits --seeds 3 --jobs $(JOBS)
	$(BIN)/python -m figures draw --jobs $(JOBS)

test: lint types
	$(BIN)/python -m pytest

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install
	$(BIN)/mypy

clean:
	rm -rf .venv *.egg-info .pytest_cache .mypy_cache .ruff_cache
