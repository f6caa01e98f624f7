"""Simulated users: boxes, clicks, scribbles and lassos, shared by training and evaluation."""
