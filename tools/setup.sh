#!/bin/sh
# Builds or renews the virtual environment: tools/setup.sh <folder>. Called by make when pyproject.toml or
# constraints.txt is newer than the stamp. An interrupted run leaves a marker, and the next one starts again.
set -eu

venv=$1
stamp=$venv/.installed
marker=$venv/.installing

# The stamp holds a checksum of what it was made from: files that only have a new date cause no download.
torch=${TORCH:-default}
case $torch in
    default | cpu) ;;
    *) echo "setup: TORCH=$torch: expected cpu, or nothing" >&2; exit 1 ;;
esac
if [ "$torch" = default ] && grep -q ' cpu$' "$stamp" 2>/dev/null; then
    torch=cpu # as it was chosen when the environment was made
fi
wanted="$(cat pyproject.toml constraints.txt | cksum) $torch"
if [ -f "$stamp" ] && [ ! -f "$marker" ] && [ "$(cat "$stamp")" = "$wanted" ]; then
    touch "$stamp"
    exit 0
fi

if [ -f "$marker" ] || ! "$venv/bin/python" -c "" 2>/dev/null; then
    python=
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11 python3.14 python}; do
        if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' 2>/dev/null; then
            python=$candidate
            break
        fi
    done
    if [ -z "$python" ]; then
        echo "setup: no Python from 3.11 to 3.14 found; install one, or name it: make PYTHON=/path/to/python" >&2
        exit 1
    fi
    echo "setup: $venv with $("$python" --version)"
    if ! "$python" -m venv --clear "$venv"; then
        echo "setup: $python cannot make a virtual environment; on Debian and Ubuntu: apt install python3-venv" >&2
        rm -rf "$venv"
        exit 1
    fi
fi

: > "$marker"
rm -f "$stamp"
# Python compiles a module on its first import, unless it may not write: then each run would compile torch again.
compile=
if [ -n "${PYTHONDONTWRITEBYTECODE:-}" ]; then compile=--compile-bytecode; fi
sed -n '/^uv==/,/[^\\]$/p' constraints.txt > "$venv/uv.txt" # pip takes hashes from a list of requirements only
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "$venv/uv.txt"
if [ "$torch" = cpu ]; then
    # The CPU builds have versions such as 2.15.0+cpu, which fit the pins, and hashes of their own, which do not:
    # these two packages go without. The other packages stay pinned by hash.
    echo "setup: torch for the CPU: about 0.2 GB to download instead of 3 GB"
    awk '/^(torch|torchvision)==/ { sub(/ *\\$/, ""); print; skip = 1; next }
         skip && /^ *--hash/ { next } { skip = 0; print }' constraints.txt > "$venv/cpu.txt"
    sed -n -E '/^(torch|torchvision)==/p' "$venv/cpu.txt" > "$venv/torch.txt"
    if ! "$venv/bin/uv" pip install --quiet --python "$venv/bin/python" --torch-backend cpu --no-deps \
            --requirement "$venv/torch.txt" 2> "$venv/torch.log"; then
        echo "setup: the CPU builds could not be fetched ($(tail -n 1 "$venv/torch.log")): goes on with the usual ones" >&2
        torch=default
        cp constraints.txt "$venv/cpu.txt"
    fi
    "$venv/bin/uv" pip install --quiet $compile --python "$venv/bin/python" --constraint "$venv/cpu.txt" --editable ".[dev,export,site]"
else
    echo "setup: about 3 GB to download, most of it torch with CUDA; without an NVIDIA GPU: make setup TORCH=cpu"
    "$venv/bin/uv" pip install --quiet $compile --python "$venv/bin/python" --constraint constraints.txt --editable ".[dev,export,site]"
fi
echo "setup: compiling the inner loops, so that no first call waits"
"$venv/bin/python" -m common doctor --warm || echo "setup: they will be compiled when they are first called" >&2
echo "$wanted" > "$stamp"
rm -f "$marker"
