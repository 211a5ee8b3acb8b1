"""What every config of this project shares: mmseg's scope, its visualizer, and words that are compared with the data."""

_base_ = ['../../../../configs/_base_/default_runtime.py']
default_scope = 'mmseg'
custom_imports = dict(imports=['projects.proxyclip.proxyclip'])
default_hooks = dict(
    visualization=dict(_delete_=True, type='SegVisualizationHook', draw=False),
    class_count=dict(_delete_=True, type='mmsparse.VocabularyHook'),
)
visualizer = dict(type='SegLocalVisualizer')
tta_model = dict(type='mmsparse.ProxyCLIPTTA')
