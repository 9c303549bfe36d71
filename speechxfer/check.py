"""placeholder"""

from collections.abc import Sequence


def ctc_frames_needed(symbols: Sequence[int]) -> int:
    """Fewest frames with which CTC can align these symbols: one each, and a blank between equal neighbours.

    Source: Graves et al., 'Connectionist temporal classification' (ICML 2006), the definition of the alignment map.
    """
    return len(symbols) + sum(a == b for a, b in zip(symbols, symbols[1:], strict=False))
