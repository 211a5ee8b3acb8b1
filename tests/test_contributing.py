"""The examples of CONTRIBUTING.md run as they are written."""

import re
from pathlib import Path

import pytest
import torch
from mmpretrain.structures import DataSample

from combinations import classifier, loss, options
from hosts import (
    WITH_CLASS_TOKEN,
    assert_all_fold_and_the_answer_stays,
    assert_near,
    build,
    images_for,
    native,
    timm_host,
    watch,
)
from mmsparse.apis.adapted import build_classifier
from mmsparse.config.check import check_config
from mmsparse.config.read import read_config
from mmsparse.errors import InputError
from mmsparse.registry import MODELS

BLOCKS = re.findall(r'```python\n(.*?)```', (Path(__file__).parents[1] / 'CONTRIBUTING.md').read_text(), re.S)


@pytest.fixture(scope='module', autouse=True)
def examples():
    modules = [{} for _ in BLOCKS]  # held, as an imported module is: nothing registers a view
    for block, module in zip(BLOCKS, modules):
        exec(compile(block, 'CONTRIBUTING.md', 'exec'), module)
    yield
    for name in ('KeepCentre', 'AttentionGain'):
        MODELS.module_dict.pop(name)


@pytest.mark.parametrize('host', [*WITH_CLASS_TOKEN[:1], 'timm_no_class_token'])
def test_the_sparsifier_keeps_the_centre_with_a_dense_adapter_on_top(host):
    backbone = build(
        host,
        dict(type='mmsparse.DenseAdapter', bottleneck=4),
        dict(type='mmsparse.KeepCentre', layers=(2,), keep_rate=0.25),
    )
    t = backbone.forward_tokens(images_for(host))
    centre = torch.tensor([5, 6, 9, 10])
    assert t.x_bnc.shape[1] == t.prefix + 4
    assert t.source_bm[0][centre].tolist() == [t.prefix + i for i in range(4)]
    assert (t.source_bm >= 0).sum() == 3 * 4


@pytest.mark.parametrize(
    'first', [[], [dict(type='mmsparse.ToMe', r=[3, 0, 0, 0, 0, 0])]], ids=['twice', 'after_tome']
)
@pytest.mark.parametrize('host', ['timm_registers', 'timm_no_class_token'])
def test_the_sparsifier_follows_rows_that_have_moved(host, first):
    """In layers 2 and 4 the rows are no longer the patches of the grid; by hand: a row is as near as the nearest patch
    that it stands for.
    """
    backbone = build(host, sparsifier=[*first, dict(type='mmsparse.KeepCentre', layers=(2, 4), keep_rate=0.5)])
    seen = watch(backbone)
    t = backbone.forward_tokens(images_for(host))
    distance = [((patch // 4 - 1.5) ** 2 + (patch % 4 - 1.5) ** 2) ** 0.5 for patch in range(16)]
    plans = [
        (before, plan) for part, _, before, plan in seen if type(part).__name__ == 'KeepCentre' and plan is not None
    ]
    assert len(plans) == 2 and t.patches == -(-plans[1][0].patches // 2)
    for before, plan in plans:
        for item, source_m in enumerate(before.source_bm.tolist()):
            near = {
                row: min(distance[patch] for patch in range(16) if source_m[patch] == row)
                for row in range(before.prefix, before.x_bnc.shape[1])
            }
            stays = [row for row in near if plan.index_bn[item, row] >= 0]
            assert max(near[row] for row in stays) <= min(near[row] for row in near if row not in stays)


@pytest.mark.parametrize('host', ['timm_layer_scale', 'mmpretrain', 'open_clip'])
def test_the_adapter_folds_into_every_kind_of_host(host):
    backbone = build(host, dict(type='mmsparse.AttentionGain'), dict(type='mmsparse.ToMe', r=2))
    assert_all_fold_and_the_answer_stays(backbone, images_for(host))


@pytest.mark.parametrize('order', [1, -1])
def test_the_adapter_folds_beside_another_at_its_site_and_where_there_is_no_bias(order):
    adapters = [dict(type='mmsparse.AttentionGain'), dict(type='mmsparse.SSF')][::order]
    for host, configs in (
        (timm_host(init_values=1.0), adapters),
        (timm_host(proj_bias=False), adapters[:1] if order == 1 else adapters[1:]),
    ):
        assert_all_fold_and_the_answer_stays(build(host, configs), images_for())


def test_a_shift_that_nothing_takes_is_refused():
    operator = build(timm_host(proj_bias=False)).view.operator(1, 'proj')
    with pytest.raises(InputError, match='received a shift for an operator with neither bias nor positions'):
        operator.scale_shift(torch.ones(48), torch.zeros(48))


def test_a_new_method_needs_no_entry_in_the_tests_that_cross_all():
    assert options('AttentionGain') == {} and options('KeepCentre') == dict(layers=(2,), keep_rate=0.7)
    model = classifier('timm_registers', 'AttentionGain', 'KeepCentre')
    loss(model).backward()
    assert model.backbone.adapters[0].gain.grad.any()


def test_the_adapters_config_trains_by_its_loss(tmp_path, monkeypatch):
    (tmp_path / 'attention_gain.py').write_text('')  # registered already; nothing else of it is read
    (config := tmp_path / 'own.py').write_text(next(block for block in BLOCKS if 'attention_gain' in block))
    monkeypatch.syspath_prepend(tmp_path)
    cfg = read_config(config)
    check_config(cfg)
    model = build_classifier(cfg).train()
    gain = model.backbone.adapters[0].gain
    with torch.no_grad():
        gain += 0.5
    label = DataSample().set_gt_label(1)
    losses = model(torch.ones(1, 3, 32, 32), [label], mode='loss')
    assert losses['loss_gain'].item() == pytest.approx(1e-2 * 0.25 * gain.numel())
    sum(losses.values()).backward()
    assert (gain.grad - 1e-2).abs().max() > 0


@pytest.mark.parametrize('sparsifier', [None, dict(type='mmsparse.ToMe', r=0)])
def test_the_view_runs_a_host_that_had_none(sparsifier):
    host = timm_host(name='deepseek_vit_412m_enc', global_pool='avg')
    raw, pooled = (build(host, sparsifier=sparsifier, out_type=out_type) for out_type in ('raw', 'pooled'))
    assert type(raw.view).__name__ == 'DeepseekView' and raw.view.prefix == 0
    assert_near(raw(images_for())[-1], native(raw.host, images_for()).flatten(1, 2))
    assert_near(pooled(images_for())[-1], pooled.host(images_for()))


def test_the_examples_are_short():
    assert [len(block.splitlines()) <= 30 for block in BLOCKS] == [True] * 6
    assert len(BLOCKS[0].splitlines()) <= 20


def test_the_adapter_is_neutral_at_its_start_and_trains():
    plain, gained = (build('timm', adapter) for adapter in (None, dict(type='mmsparse.AttentionGain')))
    torch.nn.init.ones_(gained.adapters[0].gain)
    torch.testing.assert_close(gained(images_for())[-1], plain(images_for())[-1], rtol=0, atol=1e-6)
    gained(images_for())[-1].square().sum().backward()
    assert gained.adapters[0].gain.grad.all()
