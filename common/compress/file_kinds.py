"""What kind of file a file is, by its first bytes: a download that went wrong has the right suffix, too."""

from __future__ import annotations

from pathlib import Path

from common.codec.container import MAGIC


def sniff(path: str | Path) -> str:
    """Return ``"dcz"``, ``"safetensors"`` or ``"torch"``: what a file holds, whatever it is called.

    Raises
    ------
    FileNotFoundError
        When there is no file.
    ValueError
        When it holds something else; the message says what, and what to do.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"file not found: {path}")
    with open(path, "rb") as file:
        start = file.read(512)
    text = start.lstrip().lower()
    for is_it, what in (
        (not start, "is empty: copy or download it again"),
        (
            start.startswith(b"version https://git-lfs"),
            "is a Git LFS pointer, not the file: run `git lfs pull`",
        ),
        (text.startswith((b"<!doctype", b"<html", b"<?xml")), "is a web page: download the file itself"),
        (start.startswith(b"GGUF"), "is a GGUF file: expected a state dict or .safetensors"),
        (start.startswith(b"\x89HDF"), "is an HDF5 file: expected a state dict or .safetensors"),
        (start.startswith(b"\x93NUMPY"), "is a NumPy array: expected a state dict or .safetensors"),
        (
            path.suffix.lower() == ".onnx",
            "is an ONNX graph: save the network's state dict in PyTorch instead",
        ),
    ):
        if is_it:
            raise ValueError(f"{path} {what}")
    if start.startswith(MAGIC):
        return "dcz"
    if start.startswith(b"PK") or start[:1] == b"\x80":  # torch.save: a zip archive, or before 1.6 a pickle
        return "torch"
    # safetensors: eight bytes for the length of the header, and the header is a JSON object.
    header = int.from_bytes(start[:8], "little")
    if len(start) > 8 and start[8:9] == b"{" and header < 1 << 32:
        return "safetensors"
    expected = {".dcz": "a .dcz file", ".safetensors": "a safetensors file"}.get(
        path.suffix.lower(), "a .dcz, .safetensors or torch.save file"
    )
    raise ValueError(f"{path} is not {expected}: it begins with {start[:8]!r}")
