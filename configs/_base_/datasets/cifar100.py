"""CIFAR-100 at 224 px; mmpretrain downloads it to data/cifar100 and hands out RGB, so channels are not swapped."""

_base_ = ['images_224.py']
data_preprocessor = dict(num_classes=100, to_rgb=False)
_where = dict(dataset=dict(type='CIFAR100', data_root='data/cifar100'))
train_dataloader = _where
val_dataloader = _where
test_dataloader = _where
