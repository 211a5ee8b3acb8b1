"""COCO-Object, 5,000 validation images, 80 classes and the background, which 17 words describe. Label maps: convert_coco_object.py."""

_base_ = ['vitb16_dinob16.py', 'short_side_336.py']
test_dataloader = dict(
    dataset=dict(
        type='mmsparse.COCOObjectDataset',
        metainfo=dict(dataset_name='COCO-Object'),
        data_root='data/coco_stuff164k',
        data_prefix=dict(img_path='images/val2017', seg_map_path='annotations/val2017'),
    ),
)
model = dict(classes='coco_object', prob_thd=0.25)
