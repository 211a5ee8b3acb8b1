"""DyT's token dispatcher (arXiv 2403.11808) under the Dense Adapter, FCN head: the small host, CamVid. Its losses join mmseg's.

Expected: 21.30 mIoU (one seed, six epochs, configs/segmentation/README.md).
Run: python tools/train.py configs/segmentation/tiny_dyt_fcn_camvid.py
"""

_base_ = [
    '../_base_/models/tiny_fcn.py',
    '../_base_/datasets/camvid_64.py',
    '../_base_/schedules/adamw_camvid.py',
    '../_base_/segmentation_runtime.py',
]
model = dict(type='mmsparse.SparseSegmentor', backbone=dict(sparsifier=dict(type='mmsparse.DyTDispatcher', rate=0.5)))
val_evaluator = test_evaluator = [
    dict(type='IoUMetric', iou_metrics=['mIoU']),
    dict(type='mmsparse.ReportMean', name='ffn_rate'),
]
