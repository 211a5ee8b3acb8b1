"""Networks beside the frozen one: what flows back into its blocks, and what training keeps of them."""

import pytest

import combinations
from hosts import build, draw, images_for
from mmsparse.analysis.memory import saved_bytes

LORA = dict(type='mmsparse.LoRA', rank=4)
SIDE = {'ResTuningBypass': dict(type='mmsparse.ResTuningBypass', bottleneck=4)}


def entering(backbone):
    """Run a batch in training mode; return whether the stream that leaves each block has a gradient, but the last."""
    found, (*_, part) = [], backbone.adapters
    site = part.site

    def watched(name, layer, x, y, t):
        if name == 'block' and layer < backbone.view.depth:
            found.append(y.requires_grad)
        return site(name, layer, x, y, t)

    part.site = watched
    backbone.train().encode(images_for())
    return found


@pytest.mark.parametrize('name', SIDE)
def test_nothing_flows_back_into_the_blocks_unless_something_trains_there(name):
    assert not any(entering(build(adapter=SIDE[name])))
    assert all(entering(build(adapter=[LORA, SIDE[name]])))


@pytest.mark.parametrize('name', SIDE)
@pytest.mark.parametrize('sparsifier', [None, 'PYRA', 'DynamicViT', 'DyTDispatcher'])
def test_what_trains_before_it_learns(name, sparsifier):
    """Cut off from the blocks for good, it would leave them without a gradient and without a word."""
    model = draw(combinations.classifier('timm', [LORA, SIDE[name]], sparsifier))
    combinations.loss(model).backward()
    trains = {key: own.grad for key, own in model.named_parameters() if own.requires_grad}
    assert all(gradient is not None for gradient in trains.values())
    silent = [key for key, gradient in trains.items() if not gradient.any()]
    # PYRA's last re-activation has no influence on a class token
    assert all(key.startswith('backbone.sparsifiers.0.layers.3.') for key in silent)


@pytest.mark.parametrize('name', SIDE)
def test_training_keeps_a_part_of_what_an_adapter_inside_keeps(name):
    """On ViT-B/16: 13.6 MiB per image for the bypass, 85.1 for LoRA."""
    models = [combinations.classifier('timm', adapter) for adapter in (SIDE[name], LORA)]
    beside, inside = (saved_bytes(model, lambda model=model: combinations.loss(model)) for model in models)
    assert beside < 0.4 * inside
