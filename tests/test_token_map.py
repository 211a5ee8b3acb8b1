"""The picture of the tokens shows what the plans did."""

import numpy as np
import pytest
from PIL import Image

from hosts import build, images_for
from mmsparse.visualization import draw_stages, token_stages
from mmsparse.visualization.token_map import DROPPED, FUSED, KEPT, TINT


@pytest.mark.parametrize('host', ['timm', 'timm_wide_image', 'timm_registers'])
@pytest.mark.parametrize(('fuse', 'rest'), [('merge', FUSED), ('drop', DROPPED)])
def test_states_follow_the_tokens(host, fuse, rest):
    backbone = build(host, sparsifier=dict(type='mmsparse.EViT', layers=(2, 4), keep_rate=0.5, fuse=fuse))
    image = images_for(host, batch=1)[0]
    stages = token_stages(backbone, image)
    assert [stage.layer for stage in stages] == [1, 2, 4]
    t = backbone.forward_tokens(image[None])
    last = stages[-1].state_hw.flatten()
    assert stages[0].state_hw.shape == t.grid and (stages[0].state_hw == KEPT).all()
    assert stages[-1].rows == t.x_bnc.shape[1]
    behind = np.bincount(t.source_bm[0][t.source_bm[0] >= 0], minlength=stages[-1].rows)
    expected = [DROPPED if source < 0 else FUSED if behind[source] > 1 else KEPT for source in t.source_bm[0].tolist()]
    assert last.tolist() == expected and rest in expected


def test_the_drawing_tints_fused_patches_and_leaves_kept_ones(host='timm_wide_image'):
    backbone = build(host, sparsifier=dict(type='mmsparse.EViT', layers=(3,), keep_rate=0.5))
    stages = token_stages(backbone, images_for(host, batch=1)[0])
    sheet = np.asarray(draw_stages(Image.new('RGB', (48, 32), (200, 100, 50)), stages))
    panel = sheet[-224:, -336:]
    for row in range(4):
        for column in range(6):
            centre = panel[row * 56 + 28, column * 56 + 28].tolist()
            fused = stages[-1].state_hw[row, column] == FUSED
            blue = [round(0.45 * value + 0.55 * tint) for value, tint in zip((200, 100, 50), TINT[FUSED])]
            assert centre == (blue if fused else [200, 100, 50])


def test_watching_leaves_the_model_as_it_was():
    backbone = build(sparsifier=dict(type='mmsparse.EViT', layers=(3,)))
    token_stages(backbone, images_for(batch=1)[0])
    assert not backbone.encoder._forward_pre_hooks
