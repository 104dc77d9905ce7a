# make demo     a first picture; then two sample concepts are trained and a mosaic of them is made
# make test     the whole test suite
# make figures  measure every figure of the pages anew: an hour of two cores, and the training
# make env      the environment that the other targets need; does nothing the second time
#
# Everything runs in .venv. PYTHON=python3.12 picks another interpreter (3.11 or newer).

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
TESTS := $(VENV)/.installed-for-tests
FIRST := mosaics/first-look
DEMO := mosaics/demo
SAMPLES := bolt pim sylvie eileen
HALF_THE_CORES = $(shell expr \( $$(getconf _NPROCESSORS_ONLN) + 1 \) / 2)
# No test reaches the hub; a missing file must fail at once, not after a time-out.
# Two workers with one thread each: processes with more threads than cores slow each other down.
TEST_ENV := HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false OMP_NUM_THREADS=1 PYTHONUTF8=1

.PHONY: help env demo figures $(SAMPLES:%=trained-%) test lint starter clean
.DEFAULT_GOAL := help

help:
	@sed -n '1,/^$$/s/^# \{0,1\}//p' Makefile

env: $(STAMP)

# The stamp is written last, so an interrupted installation starts again where pip left off.
$(STAMP): pyproject.toml constraints.txt
	@sh .ci/make-venv.sh "$(VENV)" "$(PYTHON)"
	$(BIN)/python .ci/install.py ".[studio]"
	@touch $@

# What tests and benchmarks need besides.
$(TESTS): $(STAMP)
	$(BIN)/python .ci/install.py ".[data,dev,faces,studio,sign]"
	@touch $@

# Each command goes on where an interrupted demo stopped, and does nothing once its part is done.
# Nobody should wait before a blank screen, so the first picture needs no training. Then both
# concepts learn at once, each on half of the cores: small steps gain little from more. Two
# progress bars would fight over one line, so each prints a line now and then.
demo: env
	@echo "1 of 3: a photo, made of hamburgers, as a quick draft."
	$(BIN)/mosaic-gen --tile-prompt "a hamburger" --ref docs/astronaut.jpg --preset draft \
		--grid 6x6 --show --out $(FIRST)
	@echo "2 of 3: the model learns pim, a plush penguin, and bolt, a toy robot."
	@$(MAKE) --no-print-directory -j 2 trained-pim trained-bolt
	@echo "3 of 3: bolt, made of pims."
	$(BIN)/mosaic-gen --tile-lora pim --ref-lora bolt --show --out $(DEMO)
	@echo
	@echo "Look at $(CURDIR)/$(DEMO)/mosaic.png from afar and near."
	@echo "Beside it: reference.png, the single tiles in tiles/, how it was made in mosaic.json."
	@echo "Next, your own photos: README.md. What is installed: $(BIN)/mosaic doctor"

$(SAMPLES:%=trained-%): trained-%: env
	OMP_NUM_THREADS=$(HALF_THE_CORES) TTY_COMPATIBLE=0 $(BIN)/mosaic-train concepts/$*

# ONLY=parts,order measures these alone. What is measured already is not measured again.
ONLY ?= all
figures: env $(TESTS)
	@$(MAKE) --no-print-directory -j 2 $(SAMPLES:%=trained-%)
	$(BIN)/python benchmarks/figures.py --only $(ONLY)

test: $(TESTS)
	$(TEST_ENV) $(BIN)/python -m pytest -n 2 --dist loadfile

lint: $(TESTS)
	$(BIN)/ruff check .
	$(BIN)/lint-imports

# Rebuilds models/starter from its corpus: a day and more on a CPU, half an hour with PRESET=gpu.
PRESET ?= cpu
starter: $(TESTS)
	$(BIN)/python -m smalti.starter all --preset $(PRESET)

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .ruff_cache
