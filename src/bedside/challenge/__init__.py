"""The CVPR challenges of 2024 (boxes) and 2025 (interactive 3D): predictions, scores, ranks."""
