"""Training samples of the window engine: windows around objects, their prompts, and how they are changed."""
