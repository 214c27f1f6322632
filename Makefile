# make demo    set up, then convert, train, evaluate and draw the embedded sample
# make test    set up, then check format, lint and types, then run the tests
# make pictures  draw the pictures of README.md and docs/ again, from the last demo
# make setup   only create .venv; done once, and again after a change of the requirements

PYTHON ?= $(shell command -v python3.11 || echo python3)
VENV := .venv
RUN := $(VENV)/bin/python
DATASET := datasets/sample
OUTPUT := output/demo
# further KEY VALUE pairs for the training of the demo
DEMO_OPTS ?=

# Removes OUTPUT only if it is a run: it may be named on the command line.
remove_run = @test ! -e "$(OUTPUT)" || test -f "$(OUTPUT)/config.yaml" || { echo "error: $(OUTPUT) is not a run (no config.yaml in it). Move it away, or call make with OUTPUT=..."; exit 2; }; rm -rf -- "$(OUTPUT)"

remove_dataset = @test ! -e "$(DATASET)" || test -f "$(DATASET)/dataset.json" || { echo "error: $(DATASET) is not a dataset folder (no dataset.json in it)."; exit 2; }; rm -rf -- "$(DATASET)"

.PHONY: setup demo test pictures clean
.DELETE_ON_ERROR:

setup: $(VENV)/ready

# The stamp is newer than what it was made from, so that a second call reinstalls nothing.
$(VENV)/ready: requirements.txt requirements-dev.txt constraints.txt polymask/install_detectron2.py
	@command -v $(PYTHON) > /dev/null || { echo "error: there is no $(PYTHON). Install Python 3.11 (Debian: python3.11 and python3.11-venv), or call make with PYTHON=..."; exit 2; }
	@$(RUN) -m pip --version > /dev/null 2>&1 || $(PYTHON) -m venv "$(VENV)" || { echo "error: $(PYTHON) cannot make a virtual environment in $(VENV). Install its venv package (Debian: python3.11-venv), remove $(VENV) if it is half made, and call make again."; exit 2; }
	@echo "Installing PyTorch, LabelMe and what they need into $(VENV): about 6 GB, once."
	$(RUN) -m pip install --disable-pip-version-check -c constraints.txt -r requirements.txt -r requirements-dev.txt
	$(RUN) -m polymask.install_detectron2
	@$(RUN) -c "import cv2" || { echo "error: OpenCV lacks a system library, named above. Install it (Debian: libgl1 and libglib2.0-0) and call make again."; exit 2; }
	@touch $@

demo: setup
	$(remove_run)
	$(RUN) -m dataset_tools convert data/sample --output $(DATASET) --overwrite
	$(RUN) train_net.py --config-file configs/mini_scratch.yaml DATASETS.ROOT $(DATASET) OUTPUT_DIR $(OUTPUT) $(DEMO_OPTS)
	$(RUN) -m polymask compare $(OUTPUT)
	@echo
	@echo "What this model learned from are drawings of street scenes, not photographs (data/sample/README.md)."
	@echo "  the dataset            $(DATASET)/dataset.json, train.json, val.json, test.json"
	@echo "  what it comes to       $(OUTPUT)/report.html: open it in a browser"
	@echo "  mask AP                $(OUTPUT)/results.json"
	@echo "  the curve of the loss  $(OUTPUT)/loss_curve.png"
	@echo "  truth and prediction   $(OUTPUT)/pictures/overview.png, and a picture for each test scene beside it"
	@echo "  the model              $(OUTPUT)/config.yaml and model_final.pth, for demo.py"

test: setup
	$(RUN) -m ruff format --check .
	$(RUN) -m ruff check .
	$(RUN) -m mypy
	$(RUN) -m pytest

# The pictures of README.md and docs/, from the last demo; needs Chromium.
pictures: setup
	$(RUN) -m docs.pictures --run $(OUTPUT) --dataset $(DATASET)

clean:
	$(remove_dataset)
	$(remove_run)
