"""PASCAL Context, 5,105 validation images, 59 classes, background ignored. Label maps as mmseg's converter writes them."""

_base_ = ['vitb16_dinob16.py', 'short_side_336.py']
test_dataloader = dict(
    dataset=dict(
        type='PascalContextDataset59',
        metainfo=dict(dataset_name='Context59'),
        data_root='data/VOCdevkit/VOC2010',
        data_prefix=dict(img_path='JPEGImages', seg_map_path='SegmentationClassContext'),
        ann_file='ImageSets/SegmentationContext/val.txt',
    ),
)
model = dict(classes='context59')
