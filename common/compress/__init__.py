"""Compress."""
