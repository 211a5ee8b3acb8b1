"""The default runtime under mmseg's scope, with mmseg's pictures and the best state by mIoU."""

_base_ = ['default_runtime.py']
default_scope = 'mmseg'
default_hooks = dict(
    checkpoint=dict(save_best='mIoU'),
    visualization=dict(_delete_=True, type='SegVisualizationHook'),
)
visualizer = dict(type='SegLocalVisualizer')
