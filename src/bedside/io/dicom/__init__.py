"""DICOM images: finding series (series), putting slices in order (stack), decoding samples (pixels)."""
