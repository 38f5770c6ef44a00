"""What all folders use: files written whole, results as JSON, stored figures, progress bars, numba caches."""
