"""The other methods of the course's sources, on the same masks, networks and training loop: one per file."""
