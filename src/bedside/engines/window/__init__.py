"""Bedside's own engine: one small network predicts one window of the image, with the prompts as input channels."""
