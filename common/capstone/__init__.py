"""Capstone."""
