"""Fuzzing of the readers: damaged files by the thousand, each read in a process that may die of it."""
