"""Layers of the window engine's networks."""
