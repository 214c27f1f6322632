# make setup|demo|test|pictures|clean; bootstrap.py says what each does. OUTPUT and DATASET are the demo's folders.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || echo python3)
VENV := .venv
DATASET := datasets/sample
OUTPUT := output/demo
# further KEY VALUE pairs for the training of the demo
DEMO_OPTS ?=

.PHONY: setup demo test pictures clean
setup demo test pictures clean:
	$(PYTHON) bootstrap.py $@ --venv "$(VENV)" --dataset "$(DATASET)" --output "$(OUTPUT)" --opts $(DEMO_OPTS)
