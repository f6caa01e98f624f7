"""Networks of the SAM family, one module a system, listed without importing torch (see ``weights.models``)."""
