"""PASCAL Context, 5,105 validation images, 59 classes and the background, which is the word 'background'."""

_base_ = ['vitb16_dinob16.py', 'short_side_336.py']
test_dataloader = dict(
    dataset=dict(
        type='PascalContextDataset',
        metainfo=dict(dataset_name='Context60'),
        data_root='data/VOCdevkit/VOC2010',
        data_prefix=dict(img_path='JPEGImages', seg_map_path='SegmentationClassContext'),
        ann_file='ImageSets/SegmentationContext/val.txt',
    ),
)
model = dict(classes='context60', prob_thd=0.15)
