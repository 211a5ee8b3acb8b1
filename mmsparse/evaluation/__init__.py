"""What a model costs and what it reaches."""

from mmsparse.evaluation.account import Account, Cost, account
from mmsparse.evaluation.cost import published_macs, rows_per_layer

__all__ = ['Account', 'Cost', 'account', 'published_macs', 'rows_per_layer']
