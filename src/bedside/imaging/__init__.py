"""From image and prompts to the network's input, one code for training and inference."""
