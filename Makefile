# Two commands are all that a fresh machine needs: `make chat` and `make test`.

PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3.14 python3; do \
	command -v $$p >/dev/null && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& { echo $$p; break; }; done)
BIN := .venv/bin
READY := .venv/.ready

.PHONY: chat tune test slow check wheel clean

chat: $(READY)  ## ingest the sample documents and open the chat
	$(BIN)/deskmate ingest data/sample
	$(BIN)/deskmate chat

tune: $(READY)  ## make the sample company's adapter anew, as it lies in data/adapters
	$(BIN)/deskmate ingest data/sample
	$(BIN)/deskmate synth --questions data/questions.jsonl --pairs 1500
	$(BIN)/deskmate tune --recipe smollm2-135m-cpu --name house
	rm -rf data/adapters/house
	$(BIN)/deskmate adapters export house --out data/adapters/house

test: $(READY)  ## the default tests, about four minutes
	$(BIN)/pytest

slow: $(READY)  ## the tests with real models, real documents and a real browser
	$(BIN)/pytest -m "(slow or browser) and not gpu"

check: $(READY)  ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

wheel: $(READY)  ## build the wheel into dist/
	rm -rf dist
	$(BIN)/python -m build --wheel --installer pip --outdir dist . >/dev/null

clean:
	rm -rf .venv dist

# Made once; refreshed only when the dependencies change.
$(READY): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "deskmate needs Python 3.11 or newer on the PATH" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@
