"""Campaigns of deliberate faults: what a run promises in docs/reliability.md, tried at many random places."""
