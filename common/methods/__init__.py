"""Methods beside prune, share, code: on the same masks, networks and training loop, one per file."""
