"""An example of a package that adds to Bedside, installed by the tests as any other would be."""
