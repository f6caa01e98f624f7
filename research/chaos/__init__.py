"""Ends programs at random points by SIGKILL, and looks whether anything was lost or torn."""
