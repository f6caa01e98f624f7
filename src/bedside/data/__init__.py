"""Training data: catalogue, packed store, sampling and augmentation."""
