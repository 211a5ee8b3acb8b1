"""Operators and losses that every part may call: attention, the FFN on some tokens, what losses are told."""
