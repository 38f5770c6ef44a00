# The course from the shell: `make setup` once, then `make lab`.

VENV  := .venv
BIN   := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: help setup lab capstone clean

help:
	@echo "make setup     the course's own Python environment in .venv (about 3 GB, once)"
	@echo "make lab       JupyterLab"
	@echo "make capstone  compress VGG-16 for CIFAR-10 end to end; prints the table of targets"
	@echo "make clean     remove caches; .venv, runs/ and your work stay"

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt tools/setup.sh
	@tools/setup.sh $(VENV)

lab: $(STAMP)
	$(BIN)/jupyter lab

capstone: $(STAMP)
	$(BIN)/dnnc capstone

clean:
	find . -path ./$(VENV) -prune -o \( -name __pycache__ -o -name .ipynb_checkpoints \) -exec rm -rf {} +
