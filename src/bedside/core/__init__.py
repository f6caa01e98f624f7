"""The ground floor: geometry, images, prompts, label maps and errors. Imports nothing else of Bedside."""
