"""COCO-Stuff 164k, 5,000 validation images, 171 classes. Label maps (_labelTrainIds) as mmseg's converter writes them."""

_base_ = ['vitb16_dinob16.py', 'short_side_336.py']
test_dataloader = dict(
    dataset=dict(
        type='COCOStuffDataset',
        metainfo=dict(dataset_name='COCO-Stuff'),
        data_root='data/coco_stuff164k',
        data_prefix=dict(img_path='images/val2017', seg_map_path='annotations/val2017'),
    ),
)
model = dict(classes='coco_stuff')
