"""with_cp: the same training, bit for bit, on a fraction of the memory."""

import pytest
import torch

import combinations
from hosts import draw
from mmsparse.analysis.memory import saved_bytes
from mmsparse.errors import InputError
from small_classifier import batch, classifier, config, registered, step

ADAPTERS = {
    'history': dict(type='mmsparse.DenseAdapter', bottleneck=8, dropout=0.2),
    'prompts': dict(type='mmsparse.VPT', num_prompts=2),
    'all of the host': dict(type='mmsparse.FullTuning'),
}


@pytest.mark.parametrize('adapter', ADAPTERS)
@pytest.mark.parametrize('sparsifier', registered())
def test_losses_and_gradients_stay_on_fewer_bytes(sparsifier, adapter):
    kept, again = (classifier(config(sparsifier), ADAPTERS[adapter], with_cp=with_cp) for with_cp in (False, True))
    expected, found = step(kept), step(again)
    assert {name: value.item() for name, value in found.items()} == {
        name: value.item() for name, value in expected.items()
    }
    theirs = dict(kept.named_parameters())
    for name, own in again.named_parameters():
        assert (own.grad is None) == (theirs[name].grad is None), name
        assert own.grad is None or torch.equal(own.grad, theirs[name].grad), name
    needed = [saved_bytes(model, lambda model=model: model(*batch(), mode='loss')) for model in (kept, again)]
    assert needed[1] < 0.5 * needed[0]


@pytest.mark.parametrize('adapter', combinations.adapters())
def test_every_adapter_gets_the_same_gradients(adapter):
    gradients = []
    for with_cp in (False, True):
        model = draw(combinations.classifier('timm', adapter, 'EViT'))
        model.backbone.encoder.with_cp = with_cp
        combinations.loss(model).backward()
        gradients.append({name: own.grad for name, own in model.named_parameters() if own.requires_grad})
    kept, again = gradients
    for name, gradient in kept.items():
        assert torch.equal(again[name], gradient) and gradient.any(), name


def test_what_is_kept_is_what_enters_a_block():
    model = classifier(None, ADAPTERS['all of the host'], kind='mmpretrain.ImageClassifier', with_cp=True)
    images, samples = batch()
    view = model.backbone.view
    rows = len(images) * (1 + view.patches) * view.width * images.element_size()
    # the patch projection keeps its input
    needed = saved_bytes(model, lambda: model(images, samples, mode='loss')) - images.nbytes
    assert view.depth * rows <= needed < (view.depth + 1) * rows  # the head and the final norm read one row


def test_it_is_true_or_false():
    with pytest.raises(InputError, match="SparseViT: with_cp='False', expected True or False"):
        classifier(None, with_cp='False')
