"""Reading and writing images and masks: one module per format, one registry."""

from bedside.io.reading import read_image, read_mask, readers
from bedside.io.writing import write_image, write_mask, writers

__all__ = ["read_image", "read_mask", "readers", "write_image", "write_mask", "writers"]
