"""DyT's dispatcher at evaluation (Zhao et al., NeurIPS 2024): which rows enter the FFN."""

from .sequence import Decision


def dyt(options, state, layer, sequence):
    """Patches with a positive logit, on the residual stream after attention; the prefix always. Nothing leaves."""
    logits = sequence.x @ state[f'dispatchers.{layer}.weight'][0] + state[f'dispatchers.{layer}.bias'][0]
    active = [1.0 if row < sequence.prefix or logits[row] > 0 else 0.0 for row in range(len(sequence.x))]
    return Decision(active=active, margin=min(abs(float(logit)) for logit in logits[sequence.prefix :]))


def given_active(options, state, layer, sequence):
    """Rows after the prefix that enter the FFN as options['active'][layer][image] says: for choices that are drawn."""
    return Decision(
        active=[1.0] * sequence.prefix + [float(value) for value in options['active'][layer][sequence.item]]
    )
