"""A backbone as one graph: the same answers, ties included, and no operator that ONNX does not have."""

import pytest
import torch

from hosts import build, images_for, timm_host
from mmsparse.models.necks.base import highest, order, order_in_graph, strongest
from small_classifier import config, registered

NAMES = [name for name in registered() if name != 'RandomDrop']  # its draw needs a generator, which no graph has


@pytest.mark.parametrize('seed', range(20))
def test_the_choice_among_equal_scores_is_that_of_a_stable_sort(seed):
    generator = torch.Generator().manual_seed(seed)
    rows = int(torch.randint(2, 40, (), generator=generator))
    score_bn = (
        torch.randint(0, 1 + seed % 7, (4, rows), generator=generator).to(
            [torch.float32, torch.float64, torch.bfloat16][seed % 3]
        )
        / 3
    )
    score_bn[0, 0] = float('-inf')
    ranked_bn = score_bn.sort(dim=1, descending=True, stable=True).indices
    assert torch.equal(order(score_bn), ranked_bn) and torch.equal(order_in_graph(score_bn), ranked_bn)
    for count in range(1, rows + 1):
        assert torch.equal(highest(score_bn, count), ranked_bn[:, :count])
        assert torch.equal(strongest(score_bn, count), ranked_bn[:, :count].sort(dim=1).values)


@pytest.mark.parametrize('name', NAMES)
def test_an_exported_graph_answers_alike_on_other_images_and_on_ties(name):
    backbone = build(timm_host(depth=4), dict(type='mmsparse.LoRA', rank=2), config(name), 'cls_token')
    with torch.no_grad():
        backbone.host.pos_embed[:, 1:] = 0
    images = images_for(batch=2)
    program = torch.export.export(backbone, (images,), strict=False).run_decompositions()
    # onnxscript has an operator for sort, none for sort.stable; argsort becomes one of the two.
    assert not [node for node in program.graph.nodes if 'sort' in str(node.target)]
    alike = images[:, :, :8, :8].repeat(1, 1, 4, 4)  # every patch the same
    # there rounding says which edge is the strongest
    for each in (images, images_for(batch=2, seed=7), *(() if name == 'PYRA' else (alike,))):
        with torch.no_grad():
            torch.testing.assert_close(program.module()(each)[-1], backbone(each)[-1], atol=1e-5, rtol=0)


def test_the_length_of_a_graph_is_the_longest_that_ats_can_leave():
    backbone, images = build('timm', sparsifier=config('ATS')), images_for(batch=2)
    graph = torch.export.export(backbone, (images,), strict=False).module()
    with torch.no_grad():
        found, expected = graph(images)[-1], backbone(images)[-1]
    assert found.shape[1] == 1 + 9 >= expected.shape[1]  # ceil(.7 · ceil(.7 · 16)) patches
    torch.testing.assert_close(found[:, 0], expected[:, 0], atol=1e-5, rtol=0)
