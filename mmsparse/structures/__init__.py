"""The token sequence and what leaves it: pure functions on tensors."""
