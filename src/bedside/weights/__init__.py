"""Bundled and downloaded weights, each with its card."""
