# The course from the shell. `make capstone` and `make test` need Python >= 3.11, git and make, nothing else;
# the first of them that runs builds .venv from the pins in constraints.txt.

VENV  := .venv
BIN   := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: help setup peers capstone test test-slow lab bench notebooks assignments lint badges tables tags animations site constraints clean

help:
	@echo "make setup        build .venv; TORCH=cpu for a machine without an NVIDIA GPU (0.2 instead of 3 GB)"
	@echo "make capstone     compress VGG-16 for CIFAR-10 end to end; prints the table of targets"
	@echo "make test         unit tests, and every notebook compared with its stored outputs"
	@echo "make test-slow    what is exhaustive: experiments, browsers, many phones, notebooks run again"
	@echo "make lab          JupyterLab"
	@echo "make bench        speed and memory, beside the peers"
	@echo "make peers        the benchmark peers outside the pins (part of make bench)"
	@echo "make notebooks    execute every notebook and store its outputs"
	@echo "make assignments  the students' notebooks from their sources, where these have changed"
	@echo "make tags         tags and folded cells of the lectures, and their counts of words and lines"
	@echo "make animations   the lectures' animations (GIF)"
	@echo "make site         the course as static pages with search, in build/site"
	@echo "make lint         formatter and linter, on modules and notebooks"
	@echo "make badges       Colab badges and first cells from the address in pyproject.toml"
	@echo "make tables       the README's tables and figure from the stored results"
	@echo "make constraints  renew the pins in constraints.txt (needs a network)"
	@echo "make clean        remove caches and build outputs; .venv, runs/ and results stay"

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt tools/setup.sh
	@TORCH="$(TORCH)" tools/setup.sh $(VENV)

capstone: $(STAMP)
	$(BIN)/dnnc capstone

# a process per core, so one thread each: more would wait for one another
test test-slow: export OMP_NUM_THREADS := $(or $(OMP_NUM_THREADS),1)

test: $(STAMP)
	$(BIN)/python -m pytest --nbval -m "not slow" --numprocesses auto --dist loadfile

test-slow: $(STAMP)
	$(BIN)/python -m pytest -m slow --numprocesses auto --dist loadfile

lab: $(STAMP)
	$(BIN)/jupyter lab

peers: $(STAMP)
	@$(BIN)/python -c "import kmeans1d, zipnn" 2>/dev/null || $(BIN)/uv pip install --quiet --python $(BIN)/python \
	    --constraint constraints.txt --editable ".[peers]" || echo "peers: goes on without kmeans1d (needs a C++ compiler) and ZipNN"

bench: peers
	$(BIN)/dnnc bench

notebooks: $(STAMP)
	$(BIN)/python tools/run_notebooks.py

assignments: $(STAMP)
	$(BIN)/python tools/make_assignments.py

tags: $(STAMP)
	$(BIN)/python tools/notebook_tags.py

animations: $(STAMP)
	$(BIN)/python tools/animations.py

site: $(STAMP)
	$(BIN)/python tools/site/build.py

lint: $(STAMP)
	$(BIN)/ruff format --check --quiet . || { echo "lint: run .venv/bin/ruff format ." >&2; exit 1; }
	$(BIN)/ruff check .
	@for tool in "zizmor --offline --quiet .github" "actionlint"; do \
	    program=$$(PATH="$(BIN):$$PATH" command -v $${tool%% *}) || continue; \
	    echo "$$tool"; set -- $$tool; shift; "$$program" "$$@" || exit 1; done

badges: $(STAMP)
	$(BIN)/python tools/badges.py

tables: $(STAMP)
	$(BIN)/python tools/readme_tables.py

constraints: $(STAMP)
	$(BIN)/uv pip compile pyproject.toml --extra dev --extra export --extra site --universal --python-version 3.11 --generate-hashes \
	    --no-annotate --no-header --quiet --upgrade --output-file constraints.txt

clean:
	rm -rf build dist *.egg-info .pytest_cache .ruff_cache .hypothesis .benchmarks .coverage htmlcov
	find . -path ./$(VENV) -prune -o \( -name __pycache__ -o -name .ipynb_checkpoints \) -exec rm -rf {} +
