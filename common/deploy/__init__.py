"""Compressed networks at work: products without a dense matrix."""
