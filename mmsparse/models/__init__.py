"""Backbones, views of hosts, token sparsifiers and adapters; a new file in one of the folders registers itself."""

from mmsparse.registry import import_all

from .adapters.base import BaseAdapter
from .necks.base import BaseSparsifier, kept
from .readout import BaseReadout

for _folder in ('adapters', 'backbones', 'classifiers', 'necks', 'views'):
    import_all(f'{__name__}.{_folder}')

__all__ = ['BaseAdapter', 'BaseReadout', 'BaseSparsifier', 'kept']
