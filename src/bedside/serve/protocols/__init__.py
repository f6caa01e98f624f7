"""Protocols that other programs speak, one module each, found by the registry in ``serve.protocol``."""
