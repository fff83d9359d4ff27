# make demo tunes the examples, make test runs the tests; the first target that needs it sets up .venv.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
DEV_STAMP := .venv/.installed-dev

.PHONY: demo test lint bench docs clean

demo: $(STAMP)
	@echo '== three files, three seconds each'
	$(BIN)/llmc tune examples/*.c examples/*.cc --budget 3s
	@echo
	@echo '== one recipe (from the store: it was found above)'
	$(BIN)/llmc tune examples/json.c --budget 3s
	@echo
	@echo "== a pass list that miscompiles, found by running the file's functions (make goes on)"
	-$(BIN)/llmc verify examples/json.c --effort quick --passes 'default<Oz>,function(structurizecfg)' | head -4
	@echo
	@echo '== an object lifted back to LLVM-IR, function by function, and what became of each (make goes on)'
	@mkdir -p build
	$(BIN)/clang -Oz -c examples/inflate.c -o build/inflate.o
	-$(BIN)/llmc disassemble build/inflate.o -o build/inflate-ir
	@echo
	@echo '== the compiler wrapper, against clang'
	@mkdir -p build
	$(BIN)/clang -Oz -c examples/json.c -o build/json-clang.o
	LLMC_BUDGET=3s $(BIN)/llmc cc -Oz -c examples/json.c -o build/json-llmc.o
	$(BIN)/llmc size build/json-clang.o build/json-llmc.o

test: $(DEV_STAMP)
	$(BIN)/python -m pytest

lint: $(DEV_STAMP)
	$(BIN)/ruff check
	$(BIN)/python -m mypy

bench: $(DEV_STAMP)
	$(BIN)/pip install -q -c constraints.txt -e '.[bench]'
	$(BIN)/python benchmarks/sources.py --set held-out
	$(BIN)/python benchmarks/gain.py
	$(BIN)/python benchmarks/throughput.py
	$(BIN)/python benchmarks/builds.py

docs: $(STAMP)
	$(BIN)/python docs/make_cli.py

clean:
	rm -rf .venv build .pytest_cache .mypy_cache .ruff_cache .hypothesis src/*.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo 'Python 3.11 or newer is needed; name one with `make PYTHON=python3.12 …`.' >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt -e .
	@touch $@

$(DEV_STAMP): $(STAMP)
	$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt -e '.[dev,aarch64,corpus,cluster,model,fast,train,eval]' torch==2.13.0
	@touch $@
