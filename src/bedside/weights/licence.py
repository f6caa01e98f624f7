"""What must be said of weights whose licence does not allow everything."""

from __future__ import annotations

TERMS = {
    "CC-BY-NC-SA-4.0": (
        "CC BY-NC-SA 4.0",
        "for non-commercial use only, with attribution, share-alike: weights made from them carry the same licence",
        "https://creativecommons.org/licenses/by-nc-sa/4.0/",
    ),
}
"""Per SPDX identifier: the name that people know, the conditions in short, and where the text is."""


def licence_notice(name: str, licence: str) -> str:
    """Return one line that says under which licence the weights of the model ``name`` are, and what it asks for.

    Args:
        name: Model in the registry.
        licence: SPDX identifier of its weights' licence.
    """
    if licence not in TERMS:
        return f"weights of '{name}': licence {licence}"
    title, terms, text = TERMS[licence]
    return f"weights of '{name}': licence {title}, {terms} ({text})"
