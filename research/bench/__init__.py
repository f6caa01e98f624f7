"""Size, work, time and memory of models on the machine at hand."""
