"""Cityscapes, 500 validation images, 19 classes, in windows of 224 px. Label maps (_labelTrainIds) as mmseg's converter writes them."""

_base_ = ['vitb16_dinob16.py', 'short_side_448.py']
test_dataloader = dict(
    dataset=dict(
        type='CityscapesDataset',
        metainfo=dict(dataset_name='Cityscapes'),
        data_root='data/cityscapes',
        data_prefix=dict(img_path='leftImg8bit/val', seg_map_path='gtFine/val'),
    ),
)
model = dict(classes='cityscapes', window=224)
