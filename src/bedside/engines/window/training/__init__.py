"""Training of the window engine's networks."""
