"""Layers of nnInteractive's network."""
