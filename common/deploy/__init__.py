"""Compressed networks on other devices: a web page, ONNX, and plain C.

``web_page`` writes the folder of `web/`, which decodes and runs a .dcz in a browser; ``onnx`` and ``c99``
turn the network in a .dcz into a graph for other runtimes and into a C header; ``sparse`` multiplies with a
layer straight from its codebook and gaps.
"""
