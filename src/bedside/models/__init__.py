"""The networks, one module per system, listed without importing torch (see ``registry``)."""
