"""Networks of the window engine, one module a model, listed without importing torch (see ``weights.models``)."""
