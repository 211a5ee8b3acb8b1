"""ProxyCLIP on mmsparse's parts. Importing this package registers them: ``custom_imports =
dict(imports=['projects.proxyclip.proxyclip'])``.
"""

from . import class_count, datasets, positions, readout, segmentor, tta, vfm

__all__ = ['class_count', 'datasets', 'positions', 'readout', 'segmentor', 'tta', 'vfm']
