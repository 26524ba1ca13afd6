# make run    install what is missing, then run workflows/quickstart.py to the end
# make test   install what is missing, then every test that needs no GPU
# make lint   formatting, lints, types, direction of imports
# make bench  side-by-side speed measurements
# make settings  docs/reference/settings.md from the docstrings
# make docs   install what that takes into .venv-docs, then build the documentation's site into site/
# make pins   resolve the pin lists in requirements/ anew
# EXTRA=gpu   the ordinary build of vLLM in place of the CPU build

EXTRA ?= cpu
PYTHON ?= python3.11
BIN := .venv/bin
INSTALLED := .venv/installed-$(EXTRA)
# Where pip looks for wheels beside the registry; uv has to be told.
WHEELS := $(or $(UV_FIND_LINKS),$(PIP_FIND_LINKS))
UV := UV_FIND_LINKS="$(WHEELS)" $(BIN)/uv pip
# Bytecode is compiled with the installation, not within the first run.
export UV_COMPILE_BYTECODE := 1

.PHONY: run test lint bench settings docs pins install
install: $(INSTALLED)

run: install
	$(BIN)/python -m selfimprove run workflows/quickstart.py

test: install
	$(BIN)/python -m pytest --numprocesses $$(nproc) --dist loadfile --ignore tests/cluster/test_jobs.py
	$(BIN)/python -m pytest tests/cluster/test_jobs.py

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: install
	$(BIN)/python -m benchmarks

# The torch of the CPU build comes first and apart: the ordinary registry holds only the CUDA build of the same version.
.venv/installed-cpu: requirements/cpu.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	if [ -n "$(WHEELS)" ] && $(UV) install --quiet --no-deps --no-index $$(grep '^torch==' $<) 2>/dev/null; then :; \
	else $(BIN)/uv pip install --quiet --no-deps --torch-backend cpu $$(grep '^torch==' $<); fi
	grep -v '^torch==' $< | $(UV) install --no-deps --quiet -r /dev/stdin
	$(UV) install --quiet --no-deps --no-build-isolation -e .
	touch $@

.venv/installed-gpu: requirements/gpu.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	env -u UV_FIND_LINKS $(BIN)/uv pip install --quiet --no-deps -r $<
	env -u UV_FIND_LINKS $(BIN)/uv pip install --quiet --no-deps --no-build-isolation -e .
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
	--override requirements/overrides.txt pyproject.toml
pins: install
	UV_FIND_LINKS="$(WHEELS)" $(BIN)/uv $(COMPILE) --override requirements/overrides-cpu.txt --extra cpu -o requirements/cpu.txt
	sed -i 's/+cpu$$//' requirements/cpu.txt
	env -u UV_FIND_LINKS $(BIN)/uv $(COMPILE) --extra gpu -o requirements/gpu.txt
	$(BIN)/uv pip compile --quiet --python-version 3.11 --python-platform x86_64-manylinux_2_35 --no-annotate --no-header --group docs -o requirements/docs.txt
