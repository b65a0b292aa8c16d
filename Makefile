# `make demo` and `make test` are all that a newcomer needs: each makes its own virtual environment in .venv, once, and
# installs again when pyproject.toml changes. Needed beforehand: Python 3.11 or newer, pip, make.

PYTHON     ?= python3
VENV       ?= .venv
WORKERS    ?= 2
# More for pip, such as an index with PyTorch's CPU builds: make test PIP_FLAGS='--extra-index-url https://…'
PIP_FLAGS  ?=
# More for `gradus train` (make demo), pytest (make test), the benchmarks (make bench) and Sphinx (make book).
ARGS       ?=

BIN         := $(VENV)/bin
CREATED     := $(VENV)/.created
DEMO_READY  := $(VENV)/.installed-demo
TEST_READY  := $(VENV)/.installed-test
BENCH_READY := $(VENV)/.installed-bench
BOOK_READY  := $(VENV)/.installed-book
# What Gradus is measured beside; nothing else needs them.
PEERS       := torch==2.13.0 jax jaxlib autograd

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow fuzz lint bench book clean

help: ## Print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' Makefile
	@echo 'Variables: PYTHON=python3.12  VENV=.venv  WORKERS=2  PIP_FLAGS=...  ARGS=...  GRADUS_DATA=folder with mnist/ and fashion/'

demo: $(DEMO_READY) ## Train a network on real handwritten digits and draw how it went
	$(BIN)/gradus train $(ARGS)
	@echo 'to go on    source $(BIN)/activate'

test: lint ## Lint, check types and run the whole test suite
	$(BIN)/python -m pytest -n $(WORKERS) $(ARGS)

test-slow: $(TEST_READY) ## Run the exhaustive tests as well, which take long
	$(BIN)/python -m pytest -n $(WORKERS) -m 'slow or not slow' $(ARGS)

fuzz: $(TEST_READY) ## Run 2,000 random programs through every way of running them, PyTorch's too
	$(BIN)/python tests/compiler/fuzzing.py $(ARGS)

lint: $(TEST_READY) ## Ruff and the type checker
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: $(BENCH_READY) ## Measure speed beside other libraries (a quiet machine gives better figures)
	$(BIN)/python benchmarks/run.py $(ARGS)

book: $(BOOK_READY) ## Run every chapter of the book and make pages of it, build/book/index.html
	$(BIN)/python -m sphinx -E -W -n --keep-going -j $(WORKERS) -c docs/book docs build/book $(ARGS)
	@echo 'The book: $(CURDIR)/build/book/index.html'

clean: ## Remove the virtual environment, caches and build results
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find src tests benchmarks examples -name __pycache__ -type d -prune -exec rm -rf {} +

# Some distributions ship venv without the wheel of pip; then the pip beside $(PYTHON) installs one into the environment.
$(CREATED):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "Gradus needs Python 3.11 or newer, and '$(PYTHON)' is $$($(PYTHON) --version 2>&1 | head -n 1). Name another: make PYTHON=python3.12"; exit 1; }
	@echo 'Making a virtual environment in $(VENV) ...'
	@rm -rf $(VENV)
	@$(PYTHON) -m venv $(VENV) >/dev/null 2>&1 || { $(PYTHON) -m venv --clear --without-pip $(VENV) && $(PYTHON) -m pip --python $(BIN)/python install -q pip; }
	@touch $@

# pip's full account goes to a log; on the screen the names of the packages as they come. awk hands on the failure that a pipe hides.
define install
	@echo 'Installing gradus-dl[$(1)]$(if $(3), $(3)) into $(VENV), $(2):'
	@{ $(BIN)/python -m pip install --disable-pip-version-check $(PIP_FLAGS) -e '.[$(1)]' $(3) 2>&1 || echo 'pip install failed'; } \
	  | tee $(VENV)/install.log | awk '/^Collecting / {sub(/[^A-Za-z0-9_.-].*/, "", $$2); printf " %s", $$2; fflush()} \
	    /^ *Downloading .* MB\)$$/ {printf " %s %s", $$3, $$4; fflush()} \
	    /^Installing collected packages/ {printf "\nUnpacking %d packages ...\n", NF - 3; fflush()} \
	    /^pip install failed$$/ {failed = 1} END {exit failed}' || { echo; tail -n 25 $(VENV)/install.log; exit 1; }
	@touch $@
endef

$(DEMO_READY): pyproject.toml | $(CREATED)
	$(call install,cli$(COMMA)plot$(COMMA)data,220 MB unpacked)

$(TEST_READY): pyproject.toml | $(CREATED)
	$(call install,all$(COMMA)test$(COMMA)parity,1.4 GB unpacked: PyTorch is what the parity tests compare with)

$(BENCH_READY): pyproject.toml | $(CREATED)
	$(call install,fast$(COMMA)plot,1.7 GB unpacked: PyTorch and JAX are what is compared with,$(PEERS))

$(BOOK_READY): pyproject.toml | $(CREATED)
	$(call install,book$(COMMA)fast,700 MB unpacked)

COMMA := ,
