"""What a row is worth, one number per row of a sequence. The higher, the longer it stays."""


def attended(sequence):
    """Attention that the first row pays to it, mean over the heads."""
    return sequence.look.class_row


def received(sequence):
    """Attention that every row of the sequence pays to it, prefix and itself included: mean over rows and heads."""
    return sequence.look.weights.mean((0, 1))


def key_norm(sequence):
    """Length of its key, mean over the heads."""
    return (sequence.look.keys**2).sum(-1).sqrt().mean(0)


def shift(sequence):
    """Length of what the FFN of the layer before added to it (after layer scale, without adapters)."""
    return (sequence.added**2).sum(-1).sqrt()


SCORES = {'class': attended, 'received': received, 'key_norm': key_norm, 'shift': shift}
