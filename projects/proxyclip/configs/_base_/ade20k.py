"""ADE20K, 2,000 validation images, 150 classes."""

_base_ = ['vitb16_dinob16.py', 'short_side_448.py']
test_dataloader = dict(
    dataset=dict(
        type='ADE20KDataset',
        metainfo=dict(dataset_name='ADE20K'),
        data_root='data/ade/ADEChallengeData2016',
        data_prefix=dict(img_path='images/validation', seg_map_path='annotations/validation'),
    ),
)
model = dict(classes='ade20k')
