"""The models inside the package: small, loadable, whole, and as good as they were when they were put there."""

import pytest

from speechxfer.checkpoint import SHIPPED, load_model, read_card
from speechxfer.features import feature_fingerprint

MODELS = sorted(path.name for path in SHIPPED.iterdir())


def test_there_are_shipped_models() -> None:
    assert set(MODELS) >= {"english"}


@pytest.mark.parametrize("name", MODELS)
def test_a_shipped_model_loads_and_tells_what_it_is(name: str) -> None:
    model, card = load_model(name), read_card(name)
    assert sum(path.stat().st_size for path in (SHIPPED / name).iterdir()) <= 20e6
    assert feature_fingerprint(model.spec) == pytest.approx(card["feature_fingerprint"], abs=0.02)
    assert card["language"] and card["licence"] and card["details"]["command"]
    assert not card["details"]["commit"].endswith("-dirty")
