"""tools/test.py --tta and --out on a ProxyCLIP, compared with a plain loop over the views."""

import runpy
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from PIL import Image

from mmsparse.errors import InputError
from mmsparse.registry import MODELS
from small_proxyclip import config
from stand_ins import CONFIGS, build

TOOL = runpy.run_path(str(CONFIGS.parents[2] / 'tools' / 'test.py'))
MIRROR = partial(torch.flip, dims=(-1,))


def uneven(cfg, prob_thd=0.0, tta=True):
    """Windows that the patches do not divide, and one picture whose label map is not symmetric."""
    cfg.model.update(window=72, stride=40, prob_thd=prob_thd)
    cfg.test_dataloader.dataset.pipeline[1].scale = (200, 72)
    if tta:
        TOOL['use_tta'](cfg)


@pytest.mark.parametrize('prob_thd', [0.0, 0.5])
def test_views_are_averaged_as_probabilities_and_the_threshold_stays(tmp_path, prob_thd):
    runner, truth = build('voc21', tmp_path, partial(uneven, prob_thd=prob_thd))
    plain, _ = build('voc21', tmp_path, partial(uneven, prob_thd=prob_thd, tta=False))
    plain.model.load_state_dict(runner.model.module.state_dict(), strict=False)
    batch = pseudo_collate([runner.test_dataloader.dataset[0]])
    runner.model.eval(), plain.model.eval()
    with torch.no_grad():
        (found,) = runner.model.test_step(batch)
        data = plain.model.data_preprocessor(pseudo_collate([plain.test_dataloader.dataset[0]]), False)
        straight, mirrored = (plain.model.encode_decode(x) for x in (data['inputs'], MIRROR(data['inputs'])))
        sized = partial(torch.nn.functional.interpolate, size=truth.shape, mode='bilinear', align_corners=False)
        views = [plain.model.texts.probabilities(sized(cosine)[0]) for cosine in (straight, MIRROR(mirrored))]
    mean = sum(views) / 2
    torch.testing.assert_close(found.seg_logits.data, mean, atol=1e-5, rtol=0)
    best, label = mean.max(0)
    expected = torch.where(best < prob_thd, 0, label)
    assert (found.pred_sem_seg.data[0] == expected).float().mean() > 0.999
    assert not prob_thd or (expected != label).any()  # the threshold acts
    assert np.array_equal(found.gt_sem_seg.data[0].numpy(), truth)  # and is not mirrored
    assert 0 <= runner.test()['mIoU'] <= 100


def test_mmsegs_own_augmentation_is_refused_because_it_takes_the_softmax_again():
    with pytest.raises(InputError, match='probabilities already.*ProxyCLIPTTA'):
        MODELS.build(dict(type='mmseg.SegTTAModel', module=config())).module.out_channels  # noqa: B018


def test_a_label_that_is_no_class_is_refused_with_its_file(tmp_path):
    runner, truth = build('voc21', tmp_path, partial(uneven, tta=False))
    file = tmp_path / 'voc21/SegmentationClass/2007_000033.png'
    Image.fromarray(np.full(truth.shape, 21, np.uint8)).save(file)
    with pytest.raises(InputError, match=f'{file}: received the label 21, expected 0 to 20 for 21 classes'):
        runner.test()


def test_what_a_file_keeps_are_labels_in_their_smallest_type(tmp_path):
    kept = TOOL['Predictions'](str(tmp_path / 'a.pkl'))
    for highest in (149, 846):
        label_map = torch.tensor([[[0, highest]]])
        kept.process(
            None,
            [dict(seg_logits=dict(data=torch.zeros(900, 1, 2)), pred_sem_seg=dict(data=label_map), img_path='a.png')],
        )
        assert kept.results[-1].keys() == {'pred_sem_seg', 'img_path'} and torch.equal(
            kept.results[-1]['pred_sem_seg']['data'].long(), label_map
        )
    assert [result['pred_sem_seg']['data'].dtype for result in kept.results] == [torch.uint8, torch.int16]
    kept.process(None, [dict(pred_score=torch.ones(3))])  # a classifier's stay whole
    assert kept.results[-1].keys() == {'pred_score'}


def test_hooks_look_through_any_number_of_wrappers(tmp_path):
    from projects.proxyclip.proxyclip.class_count import VocabularyHook

    runner, _ = build('voc21', tmp_path, uneven)
    runner.model = Wrapper(Wrapper(runner.model))
    VocabularyHook().before_run(
        SimpleNamespace(model=runner.model, _train_loop=None, _val_loop=None, _test_loop=runner.test_loop)
    )


class Wrapper(torch.nn.Module):
    def __init__(self, module):
        super().__init__()
        self.module = module
