"""Backends that run an exported graph: OpenVINO, ONNX Runtime, torch."""
