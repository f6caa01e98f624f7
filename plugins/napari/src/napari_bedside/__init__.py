"""Bedside in napari: prompts on layers, objects in a Labels layer."""
