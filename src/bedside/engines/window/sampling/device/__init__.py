"""Training samples made in batches on the training's device; see ``docs/architecture.md``."""
