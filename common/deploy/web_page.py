"""The page that decodes and runs .dcz files in a browser: a folder that works from disk and offline.

Browsers do not let a page from disk read other files, so the networks are put into a script, as base64. The
page itself, its decoder and its style are the files of `web/`, copied as they are.
"""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from common.base.files import ROOT, whole_file
from common.codec.container import MAX_DENSE_BYTES, ContainerError, load, read_file
from common.compress.packing import unpack
from common.data.catalog import CATALOG

PAGE = Path(__file__).with_name("web")
# Which networks the page can run (dcz.js), and the data sets that give their classes and normalization.
ROLES = {"lenet_300_100": "digits", "lenet_5": "digits", "vgg16": "pictures"}
_DATASETS = {"digits": "mnist", "pictures": "cifar10"}
SHIPPED = {
    "digits": ROOT / "week05_pruning/results/lenet_5_variational_middle.dcz",
    "pictures": ROOT / "capstone/vgg16_cifar10_small.dcz",
}


def export_web(
    sources: Sequence[str | Path], out: str | Path, *, max_dense_bytes: int = MAX_DENSE_BYTES
) -> list[Path]:
    """Write the page with its networks into a folder.

    Parameters
    ----------
    sources : sequence of path
        .dcz files: at most one LeNet for digits and one VGG-16 for pictures. Where one is not given, the
        course's own is used.
    out : path
        The folder; made when it is missing. Files of the page in it are replaced, others stay.
    max_dense_bytes : int
        Limit of the memory, in bytes, that a file's tensors may take (`container.load`).

    Returns
    -------
    list of Path
        The files that were written, index.html first.

    Raises
    ------
    ValueError
        When a file holds no network that the page can run, or two files hold the same kind.
    OSError
        When a file cannot be read, or the folder cannot be written to.
    """
    networks = {}
    for source in map(Path, sources):
        role, network = _network_of(source, max_dense_bytes)
        if role in networks:
            raise ValueError(f"{source} and {networks[role]['name']} are both for {role}: give one of them")
        networks[role] = network
    for role, path in SHIPPED.items():
        if role not in networks:
            networks[role] = _network_of(path, max_dense_bytes)[1]
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    written = []
    for path in sorted(PAGE.iterdir(), key=lambda path: (path.name != "index.html", path.name)):
        with whole_file(out / path.name) as aside:
            shutil.copyfile(path, aside)
        written.append(out / path.name)
    with whole_file(out / "networks.js") as aside:
        aside.write_text(networks_script(networks), encoding="utf-8")
    return [*written, out / "networks.js"]


def networks_script(networks: dict[str, dict]) -> str:
    """Return the networks as a script (not a module, which browsers refuse from disk): one line per role."""
    lines = ",\n".join(
        f"  {json.dumps(role)}: {json.dumps(network)}" for role, network in sorted(networks.items())
    )
    head = '// Written by `dnnc export --web`.\n"use strict";\n\n'
    return f"{head}const COMPRESSED_NETWORKS = {{\n{lines},\n}};\n"


def _network_of(path: Path, max_dense_bytes: int) -> tuple[str, dict]:
    """Return the role of a file's network, and its entry in the script."""
    data = read_file(path)
    try:
        model = load(data, max_dense_bytes=max_dense_bytes)
        unpack(model)
    except ContainerError as error:
        raise ContainerError(f"{path}: {error}") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    architecture = model.metadata["architecture"]
    if architecture not in ROLES:
        raise ValueError(
            f"{path} holds {architecture}, the page runs {', '.join(ROLES)}: choose another file"
        )
    role = ROLES[architecture]
    facts = CATALOG[_DATASETS[role]]
    if model.metadata["num_classes"] != len(facts.classes):
        raise ValueError(
            f"{path} tells {model.metadata['num_classes']} classes apart, the page names the "
            f"{len(facts.classes)} of {_DATASETS[role]}: choose another file"
        )
    return role, {
        "name": path.name,
        "classes": list(facts.classes),
        "mean": list(facts.mean),
        "std": list(facts.std),
        "base64": base64.b64encode(data).decode("ascii"),
    }
