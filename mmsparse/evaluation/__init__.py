"""What a model costs and what it reaches."""

from mmsparse.evaluation.cost import published_macs, rows_per_layer
from mmsparse.evaluation.cost_by_layer import Account, Cost, account

__all__ = ['Account', 'Cost', 'account', 'published_macs', 'rows_per_layer']
