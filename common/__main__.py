"""``python -m common``: the same as ``dnnc``."""

from common.cli import main

main()
