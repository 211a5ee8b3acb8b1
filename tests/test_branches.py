"""Branches that run side by side in a block (timm's 18x2): one attention and one FFN for adapters and sparsifiers."""

import pytest
import timm
import torch

from hosts import assert_all_fold_and_the_answer_stays, build, timm_host
from mmsparse.errors import InputError

HOST = timm_host(name='vit_small_patch16_18x2_224', depth=4)
LORA = dict(type='mmsparse.LoRA', rank=2, alpha=3, targets=('q', 'k', 'v', 'proj', 'fc1', 'fc2'))
GAIN = dict(type='mmsparse.SSF')


def pictures():
    return torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    'adapter',
    [
        [GAIN, LORA, GAIN],
        [dict(LORA, type='mmsparse.DoRA'), GAIN, LORA],
        [dict(type='mmsparse.FacTTT', rank=2), LORA],
    ],
    ids=str,
)
def test_lists_merge_into_branches_side_by_side(adapter):
    """Norms and layer scales move into the matrices before anything is added to these."""
    backbone = build(HOST, adapter, out_type='pooled')
    assert backbone.view.operator(1, 'q').shape == (2 * 48, 48) and backbone.view.operator(1, 'proj').shape == (48, 96)
    assert_all_fold_and_the_answer_stays(backbone, pictures())


def test_heads_of_branches_side_by_side_are_those_of_one_attention():
    backbone = build(HOST, sparsifier=dict(type='mmsparse.EViT', layers=(2,), keep_rate=0.5))
    asked = []
    plan = backbone.sparsifiers[0].plan
    backbone.sparsifiers[0].plan = lambda layer, t, probe: asked.append(probe) or plan(layer, t, probe)
    backbone(pictures())
    assert asked[0].k_bhnd.shape[1] == backbone.view.heads == 2 * HOST['num_heads']


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(qkv_bias=False), 'has a branch without biases'),
        (dict(qk_norm=True), 'a branch with a attn.q_norm of timm.layers.norm.LayerNorm'),
        (dict(mlp_layer=timm.layers.GatedMlp), 'a branch with a mlp of timm.layers.mlp.GatedMlp'),
    ],
    ids=str,
)
def test_other_branches_are_refused_by_name(options, message):
    with pytest.raises(InputError, match=f'^ParallelView: block 1 .*{message}'):
        build(HOST | options)


def test_a_refusal_comes_from_the_view_that_knows_the_blocks():
    with pytest.raises(InputError, match='patch_drop_rate') as refusal:
        build(timm_host(patch_drop_rate=0.5))
    assert 'ParallelThingsBlock' not in str(refusal.value)
