"""What was annotated, taken out of a workspace: masks in the layouts of other programs, statistics, training data."""
