"""Layers that several systems of the SAM family share."""
