"""Backbones, views of hosts, token sparsifiers and adapters; a new file in one of the folders registers itself."""

from mmsparse.models.adapters.base import BaseAdapter
from mmsparse.models.backbones.readout import BaseReadout
from mmsparse.models.necks.base import BaseSparsifier, KeepRateSparsifier, kept
from mmsparse.models.part import SiteOutput
from mmsparse.registry import import_all

for _folder in ('adapters', 'backbones', 'classifiers', 'necks', 'hosts.views'):
    import_all(f'{__name__}.{_folder}')

__all__ = ['BaseAdapter', 'BaseReadout', 'BaseSparsifier', 'KeepRateSparsifier', 'SiteOutput', 'kept']
