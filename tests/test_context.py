"""What the caller of `forward_tokens` hands in reaches adapters, beside the probe and the readout."""

import torch
from torch import nn

from hosts import assert_near, build, draw, images_for
from mmsparse.models import BaseAdapter
from mmsparse.registry import MODELS


@MODELS.register_module()
class TextGain(BaseAdapter):
    """FiLM by the embedding of a text, B×5: y (1 + γ(text)), with a γ of its own per layer."""

    sites = ('norm1', 'mlp', 'norm')

    def __init__(self, view):
        super().__init__()
        self.gains = nn.ModuleList(nn.Linear(5, view.width) for _ in range(view.depth))

    def site(self, name, layer, x, y, t):
        return y * (1 + self.gains[layer - 1](t.context).unsqueeze(1))


def test_an_adapter_reads_what_the_caller_handed_in():
    """R12: also after tokens have left and in blocks that run again, with gradients for the text and the adapter."""
    evit, images, found = dict(type='mmsparse.EViT', layers=(2, 4), keep_rate=0.6), images_for(), []
    for with_cp in (False, True):
        backbone = draw(build(adapter=dict(type='mmsparse.TextGain'), sparsifier=evit, with_cp=with_cp))
        text_be = torch.linspace(-1, 1, 15).view(3, 5).requires_grad_()
        t = backbone.forward_tokens(images, context=text_be)
        assert t.context is text_be and t.patches < 16
        t.x_bnc.square().mean().backward()
        found.append([t.x_bnc, text_be.grad, *(own.grad for own in backbone.adapters.parameters())])
    assert all(torch.equal(kept, again) and kept.any() for kept, again in zip(*found))
    assert_near(backbone.forward_tokens(images[1:2], context=text_be[1:2]).x_bnc, found[0][0][1:2])
    others = backbone.forward_tokens(images, context=text_be.roll(1, 0)).x_bnc
    assert (others - found[0][0]).abs().amax((1, 2)).min() > 1e-3
