"""Trained parts in other forms: folded into their host, or as peft writes them."""
