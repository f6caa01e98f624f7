"""What the documentation is made and checked with: diagrams, the reference of commands, links, and blocks that run."""
