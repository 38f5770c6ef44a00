"""The `.dcz` file format: NumPy tensors to bytes and back. Nothing here imports torch."""

from common.base.facade import hand_on

__getattr__, __dir__, __all__ = hand_on(
    __name__,
    {
        "CompressedModel": "container",
        "ContainerError": "container",
        "DenseTensor": "tensors",
        "SharedTensor": "tensors",
        "canonical_codes": "huffman",
        "code_lengths": "huffman",
        "decode": "huffman",
        "decode_gaps": "gaps",
        "encode": "huffman",
        "encode_gaps": "gaps",
        "load": "container",
        "load_file": "container",
        "load_tensor": "container",
        "save": "container",
        "save_file": "container",
    },
)
