"""Many images: a manifest of images and prompts, a pool of processes, masks with records, and a report."""
