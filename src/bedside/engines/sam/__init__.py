"""Networks of the SAM family: the systems of the laptop challenge, each held against its published code."""
