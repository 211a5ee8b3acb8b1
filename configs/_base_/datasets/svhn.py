"""SVHN, cropped digits at 224 px: train_32x32.mat and test_32x32.mat in data/svhn."""

_base_ = ['images_224.py']
data_preprocessor = dict(num_classes=10, to_rgb=True)
_where = dict(dataset=dict(type='mmsparse.SVHN', data_root='data/svhn'))
train_dataloader = _where
val_dataloader = _where
test_dataloader = _where
