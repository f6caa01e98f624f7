"""Recipes of the SAM family: distil an image encoder from a teacher, then train the whole network on boxes."""
