"""Training with dynamic prompts (arXiv 2510.03189)."""
