"""PASCAL VOC 2012, 1,449 validation images, 20 classes, background ignored. data/VOCdevkit/VOC2012 as the VOC archive unpacks."""

_base_ = ['short_side_336.py']
test_dataloader = dict(
    dataset=dict(
        type='mmsparse.PascalVOC20Dataset',
        metainfo=dict(dataset_name='VOC20'),
        data_root='data/VOCdevkit/VOC2012',
        data_prefix=dict(img_path='JPEGImages', seg_map_path='SegmentationClass'),
        ann_file='ImageSets/Segmentation/val.txt',
    ),
)
