"""PASCAL VOC 2012, 1,449 validation images, 20 classes and the background, which 26 words describe."""

_base_ = ['vitb16_dinob16.py', 'short_side_336.py']
test_dataloader = dict(
    dataset=dict(
        type='PascalVOCDataset',
        metainfo=dict(dataset_name='VOC21'),
        data_root='data/VOCdevkit/VOC2012',
        data_prefix=dict(img_path='JPEGImages', seg_map_path='SegmentationClass'),
        ann_file='ImageSets/Segmentation/val.txt',
    ),
)
model = dict(classes='voc21', prob_thd=0.2)
