# make demo   train the two sample concepts and make a mosaic of them
# make test   the whole test suite
# make env    the environment that the other targets need; does nothing the second time
#
# Everything runs in .venv. PYTHON=python3.12 picks another interpreter (3.11 or newer).

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEMO := mosaics/demo
# Eileen is easily recognised, so that Sylvie may have more of every tile than the defaults leave her.
FACES := --guidance-strength 0.21
HALF_THE_CORES = $(shell expr \( $$(getconf _NPROCESSORS_ONLN) + 1 \) / 2)
# No test reaches the hub; a missing file must fail at once, not after a time-out.
# Two workers with one thread each: processes with more threads than cores slow each other down.
TEST_ENV := HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false OMP_NUM_THREADS=1

.PHONY: help env demo demo-sylvie demo-eileen test lint starter clean
.DEFAULT_GOAL := help

help:
	@sed -n '1,/^$$/s/^# \{0,1\}//p' Makefile

env: $(STAMP)

# The stamp is written last, so an interrupted installation starts again where pip left off.
$(STAMP): pyproject.toml constraints.txt
	@sh .ci/make-venv.sh "$(VENV)" "$(PYTHON)"
	$(BIN)/python -m pip install --progress-bar off -c constraints.txt -e ".[dev,studio,sign]"
	@touch $@

# Each command goes on where an interrupted demo stopped, and does nothing once its part is done.
# Both concepts learn at once, each on half of the cores: small steps gain little from more. Two
# progress bars would fight over one line, so each prints a line now and then.
demo: env
	@$(MAKE) --no-print-directory -j 2 demo-sylvie demo-eileen
	$(BIN)/mosaic-gen --tile-lora sylvie --ref-lora eileen $(FACES) --out $(DEMO)
	@echo
	@echo "Look at $(CURDIR)/$(DEMO)/mosaic.png from afar and near."
	@echo "Beside it: reference.png, the single tiles in tiles/, how it was made in mosaic.json."
	@echo "Next, your own photos: README.md. What is installed: $(BIN)/mosaic doctor"

demo-sylvie demo-eileen: demo-%: env
	OMP_NUM_THREADS=$(HALF_THE_CORES) TTY_COMPATIBLE=0 $(BIN)/mosaic-train concepts/$*

test: env
	$(TEST_ENV) $(BIN)/python -m pytest -n 2 --dist loadfile

lint: env
	$(BIN)/ruff check .
	$(BIN)/lint-imports

# Rebuilds models/starter from its corpus: a day and more on a CPU, half an hour with PRESET=gpu.
PRESET ?= cpu
starter: env
	$(BIN)/python -m smalti.starter all --preset $(PRESET)

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .ruff_cache
