from __future__ import annotations

import pytest

from bedside.weights.catalogue import SOURCES, sources_of, weights_stem
from bedside.weights.models import model_card, model_cards


@pytest.mark.parametrize("source", SOURCES, ids=lambda s: s.stem)
def test_every_source_is_of_a_model_and_under_its_licence(source: object) -> None:
    from bedside.weights.catalogue import Source

    assert isinstance(source, Source)
    card = model_card(source.model)
    assert source.licence == card.licence
    assert source.variant in ("", *card.variants)
    assert source.page.startswith("https://")
    assert source.url is None or source.url.startswith("https://")
    assert sources_of(source.model, source.variant) == [source]


def test_every_system_that_encodes_images_once_has_a_source() -> None:
    systems = {card.name for card in model_cards() if card.family == "sam"}
    assert {source.model for source in SOURCES} == systems
    assert len({source.stem for source in SOURCES}) == len(SOURCES)


def test_the_first_variant_is_called_as_the_model() -> None:
    assert weights_stem("daft") == weights_stem("daft", "general") == "daft"
    assert weights_stem("daft", "x-ray") == "daft-x-ray"
    assert weights_stem("medsam") == "medsam"
    assert sources_of("lite-medsam", "scribble") == []
