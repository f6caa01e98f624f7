"""The formats: each module registers its reader, its writer, or both when imported, and imports libraries late."""
