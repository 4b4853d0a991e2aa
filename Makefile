# make demo: install, run the main job on the embedded data, draw the figures.   make test: install, lint, types, tests, doctests.
# Tests in a browser need Debian's chromium; where it is missing they say so and are skipped.
PYTHON ?= python3
BIN := .venv/bin
JOBS ?= 2
VERSIONS ?= oldest
export MPLBACKEND := Agg
QUICK := tests/test_house.py tests/mechanisms/test_after_update.py tests/mechanisms/test_dynamics.py tests/mechanisms/test_judgement.py \
	tests/mechanisms/test_ranking.py tests/mechanisms/test_regularizers.py tests/mechanisms/test_schedules.py \
	tests/mechanisms/test_sparsity.py tests/mechanisms/test_update_rules.py tests/mechanisms/experiments/test_bundles.py \
	tests/mechanisms/experiments/test_records.py tests/mechanisms/experiments/test_specs.py tests/toy/test_gradients.py \
	tests/toy/test_spec.py tests/full_scale/test_spec.py

.PHONY: install demo check test lint types api dist dist-tests compat pins audit clean

install: .venv/.installed

.venv/.installed: pyproject.toml requirements.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet torch==2.13.0
	$(BIN)/python -m pip install --quiet --require-hashes --no-deps --requirement requirements.txt
	$(BIN)/python -m pip install --quiet --no-deps torchvision==0.28.0  # its networks, in tests alone
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	touch $@

demo: install
	$(BIN)/python -m full_scale run digits --seeds 3 --jobs $(JOBS)
	$(BIN)/python -m figures draw digits_sparsity decay selectivity phase_diagrams --jobs $(JOBS)

check: lint types # within a minute: the law, specs, records and the rules of the house
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --quiet --numprocesses $(JOBS) $(QUICK)

test: lint types
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses $(JOBS) --dist loadfile

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install
	$(BIN)/mypy

api: install
	$(BIN)/python -m pip install --quiet pdoc==16.0.0
	$(BIN)/pdoc --output-directory build/api mechanisms toy full_scale figures

dist: install
	$(BIN)/python -m pip install --quiet build==1.6.1
	rm -rf dist
	$(BIN)/python -m build --outdir dist .
	PYTHON=$(PYTHON) tests/try_distribution.sh dist

dist-tests: dist
	PYTHON=$(PYTHON) tests/try_distribution.sh dist tests

compat: # make compat VERSIONS=oldest|newest PYTHON=python3.11: the tests of the law, records, training and removal on other versions
	$(PYTHON) -m venv .venv-$(VERSIONS)
	.venv-$(VERSIONS)/bin/python -m pip install --quiet --constraint constraints/$(VERSIONS).txt --editable . pytest hypothesis
	.venv-$(VERSIONS)/bin/python -m pytest -W default tests/mechanisms tests/toy tests/fuzz tests/test_security.py \
		tests/full_scale/test_optimizer.py tests/full_scale/test_train.py tests/full_scale/removal/test_shrink.py

pins: install # requirements.in with the checksums of all its files
	$(BIN)/python -m pip install --quiet uv==0.13.9
	$(BIN)/uv pip compile --quiet --no-deps --generate-hashes --no-annotate --custom-compile-command "make pins" \
		--output-file requirements.txt requirements.in

audit: # known weaknesses of the pinned packages; asks PyPI's database, and fails where that is out of reach
	$(PYTHON) -m venv .venv-audit
	.venv-audit/bin/python -m pip install --quiet pip-audit==2.10.1
	.venv-audit/bin/pip-audit --strict --require-hashes --disable-pip --requirement requirements.txt

clean:
	rm -rf .venv .venv-* *.egg-info .pytest_cache .mypy_cache .ruff_cache
