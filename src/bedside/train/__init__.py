"""Training: losses, trainer and recipes. Imports torch and numpy, nothing heavier."""
