"""What tools/test.py --show-dir writes, for classifiers and segmentors."""

from types import SimpleNamespace

import mmcv
import numpy as np
import pytest
import torch
from mmengine.structures import PixelData
from mmpretrain.structures import DataSample
from mmpretrain.visualization import UniversalVisualizer
from mmseg.structures import SegDataSample
from mmseg.visualization import SegLocalVisualizer
from PIL import Image

from mmsparse.engine.hooks.drawing import DrawingHook
from mmsparse.errors import InputError


def drawn(folder, visualizer, samples, to_rgb=False, **options):
    model = torch.nn.Module()
    model.data_preprocessor = SimpleNamespace(to_rgb=to_rgb)
    hook = DrawingHook(str(folder / 'drawn'), **options)
    for part in (samples[:2], samples[2:]):
        inputs = [torch.tensor([200, 40, 40], dtype=torch.uint8)[:, None, None].expand(3, 32, 32) for _ in part]
        hook.after_test_iter(SimpleNamespace(visualizer=visualizer, model=model), 0, dict(inputs=inputs), part)
    return {file.name: mmcv.imread(file, channel_order='rgb') for file in (folder / 'drawn').iterdir()}


def test_small_pictures_of_equal_names_get_files_of_their_own_that_can_be_read(tmp_path):
    samples = [
        DataSample(metainfo=dict(img_path=f'{cls}/0.png')).set_pred_label(index) for index, cls in enumerate('abc')
    ]
    visualizer = UniversalVisualizer()
    visualizer.dataset_meta = dict(classes=('cat', 'sofa', 'plant'))
    found = drawn(tmp_path, visualizer, samples)
    assert set(found) == {'0.png_0.png', '0.png_1.png', '0.png_2.png'} and {
        image.shape for image in found.values()
    } == {(256, 256, 3)}
    assert len({image.tobytes() for image in found.values()}) == 3
    assert found['0.png_0.png'][-1, -1].tolist() == [200, 40, 40]
    assert drawn(tmp_path / 'bgr', visualizer, samples, to_rgb=True)['0.png_0.png'][-1, -1].tolist() == [40, 40, 200]
    assert set(drawn(tmp_path / 'second', visualizer, samples, interval=2)) == {'0.png_0.png', '0.png_2.png'}


def test_label_maps_are_drawn_over_the_picture_by_whole_pixels(tmp_path):
    samples = []
    for folder in 'abc':
        (tmp_path / folder).mkdir()
        Image.new('RGB', (40, 32)).save(tmp_path / folder / '0.png')
        truth, said = torch.zeros(1, 32, 40, dtype=torch.long), torch.zeros(1, 32, 40, dtype=torch.long)
        said[:, :, 20:] = 1
        sample = SegDataSample(metainfo=dict(img_path=str(tmp_path / folder / '0.png')))
        sample.pred_sem_seg, sample.gt_sem_seg = PixelData(data=said), PixelData(data=truth)
        samples.append(sample)
    visualizer = SegLocalVisualizer(alpha=1.0)
    visualizer.set_dataset_meta(classes=('cat', 'sofa'), palette=[(250, 0, 0), (0, 250, 0)])
    found = drawn(tmp_path, visualizer, samples)
    assert set(found) == {'0.png_0.png', '0.png_1.png', '0.png_2.png'}
    image = found['0.png_1.png']  # truth beside prediction, both 8 times larger
    assert image.shape == (256, 640, 3) and samples[1].pred_sem_seg.data.shape == (1, 32, 40)
    expected = np.zeros((640, 3))
    expected[:480] = (250, 0, 0)
    expected[480:] = (0, 250, 0)
    assert (image[-1] == expected).all()


def test_an_interval_below_1_is_refused():
    with pytest.raises(InputError, match='interval=0, expected 1'):
        DrawingHook('drawn', interval=0)
