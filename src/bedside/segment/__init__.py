"""Segmenters: the window engine of Bedside's own models, behind one protocol."""

from bedside.segment.load import load_segmenter
from bedside.segment.protocol import Capabilities, Prediction, Segmenter

__all__ = ["Capabilities", "Prediction", "Segmenter", "load_segmenter"]
