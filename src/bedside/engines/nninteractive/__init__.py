"""nnInteractive's network, its inference, its published weights and training with dynamic prompts."""
