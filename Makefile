# make demo and make test each set up everything they need in $(VENV); a second call only does what has changed.
PYTHON = python3
VENV = .venv
BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip --disable-pip-version-check
WEB = .venv-web
WEB_PIP = $(WEB)/bin/python -m pip --disable-pip-version-check
OUT = out
DATA = ../shared/data
MODEL = compact
MINUTES = 480

help: ## show this list
	@echo "Targets:"
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1	\2/p' Makefile | expand -t 22

demo: $(VENV)/.run ## segment a phantom volume with a simulated user; writes a mask and a report to out/demo
	$(BIN)/adaptseg demo --out $(OUT)/demo

web: $(WEB)/.run ## open the page in the browser, with a phantom: make web FILES="ct.nrrd folder"
	$(WEB)/bin/adaptseg web --open $(FILES)

test: $(VENV)/.dev ## run all tests; those of the page where "make .venv-web/.dev" has set its environment up
	$(BIN)/python -m pytest
	@if [ -e $(WEB)/.dev ]; then $(WEB)/bin/python -m pytest Testing/web; \
	else echo 'The tests of the page were left out: "make $(WEB)/.dev" sets up what they need.'; fi

test-quick: $(VENV)/.dev ## run the tests that take less than a few seconds each
	$(BIN)/python -m pytest -m "not slow"

check: $(VENV)/.dev ## check format, lint, types, Python 3.10 to 3.13, and the model manifest
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy --python-version 3.10
	$(BIN)/mypy --python-version 3.13
	$(BIN)/python -m pytest -q Testing/core/test_python_versions.py Testing/core/test_package.py -m "not slow"

format: $(VENV)/.dev ## format the code and apply the safe fixes of the linter
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# glibc would give memory back to the system after every step and ask for it again at the next.
train: $(VENV)/.run ## train a built-in model on synthetic volumes; goes on where it stopped: make train MODEL=compact3d MINUTES=60
	MALLOC_TRIM_THRESHOLD_=100000000000 MALLOC_MMAP_MAX_=0 \
	$(BIN)/adaptseg train --model $(MODEL) --minutes $(MINUTES) --out $(OUT)/train-$(MODEL) \
	  $$(test ! -f $(OUT)/train-$(MODEL)/training.pt || echo --resume)

bench: $(VENV)/.dev ## make every table of the README, or go on with it: make bench DATA=FOLDER
	mkdir -p $(OUT)/bench
	test -e $(OUT)/bench/latency.json || $(BIN)/python Testing/bench_latency.py --json $(OUT)/bench/latency.json
	$(BIN)/adaptseg bench all --data $(DATA) --model $(MODEL) --out $(OUT)/bench
	$(BIN)/python Testing/bench_panel.py --json $(OUT)/bench/panel.json

sample-data: $(VENV)/.dev ## draw the phantom that Slicer's Sample Data module offers, and its picture
	$(BIN)/python Testing/sample_data.py InteractiveAdaptSeg/Resources

screenshots: $(VENV)/.dev ## draw the panel into Resources/Screenshots, in the stand-in for Slicer's window
	$(BIN)/python Testing/screenshots.py Resources/Screenshots

clean: ## remove what was built and measured, and the virtual environments
	rm -rf $(VENV) $(WEB) $(OUT) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: $(BIN)/python pyproject.toml setup.py constraints.txt
	$(PIP) install --quiet --constraint constraints.txt setuptools
	$(PIP) install --quiet --constraint constraints.txt --no-build-isolation --editable ".[report]"
	touch $@

# torchvision without its dependencies: it would replace the pinned torch, and only its ops are used.
$(VENV)/.dev: $(VENV)/.run
	$(PIP) install --quiet --constraint constraints.txt --no-build-isolation --editable ".[dev]"
	$(PIP) install --quiet --constraint constraints.txt --no-deps segment-anything torchvision
	touch $@

# slicer-core of another version than in $(VENV): trame-slicer takes that one.
$(WEB)/bin/python:
	$(PYTHON) -m venv $(WEB)

$(WEB)/.run: $(WEB)/bin/python pyproject.toml setup.py constraints-web.txt
	$(WEB_PIP) install --quiet --constraint constraints-web.txt setuptools
	$(WEB_PIP) install --quiet --constraint constraints-web.txt --no-build-isolation --editable ".[web]"
	touch $@

$(WEB)/.dev: $(WEB)/.run
	$(WEB_PIP) install --quiet --constraint constraints-web.txt --no-build-isolation --editable ".[web-test]"
	touch $@

.PHONY: help demo web test test-quick check format train bench sample-data screenshots clean
