# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Speaker verification: do two utterances come from one speaker?"""

from collections.abc import Sequence

import numpy as np


def equal_error_rate(scores: np.ndarray, is_same: np.ndarray) -> float:
    """The rate at which a threshold accepts as many impostors as it rejects true speakers.

    Between two thresholds the rates are interpolated linearly; equal scores share one threshold.

    Args:
        scores: `(num_trials,)`; the higher, the likelier the same speaker.
        is_same: `(num_trials,)`, `True` where both utterances are one speaker's.

    Returns:
        A share between 0 (perfect) and 1; 0.5 is chance.

    Raises:
        ValueError: Scores are not finite, or there are only true speakers or only impostors.
    """
    scores, is_same = np.asarray(scores, dtype=np.float64), np.asarray(is_same, dtype=bool)
    if scores.ndim != 1 or scores.shape != is_same.shape:
        raise ValueError(f"Expected one score and one answer per trial, got {scores.shape} and {is_same.shape}.")
    if not np.isfinite(scores).all():
        raise ValueError(f"Expected finite scores, got {np.sum(~np.isfinite(scores))} that are not.")
    num_same, num_different = int(is_same.sum()), int((~is_same).sum())
    if num_same == 0 or num_different == 0:
        raise ValueError(
            "Expected trials of one speaker and of two, got "
            f"{num_same} and {num_different}: the data need several utterances of several speakers."
        )
    order = np.argsort(-scores, kind="stable")
    last_of_ties = np.append(np.diff(scores[order]) != 0, True)
    accepted_same = np.append(0, np.cumsum(is_same[order])[last_of_ties])
    accepted_different = np.append(0, np.cumsum(~is_same[order])[last_of_ties])
    false_rejections, false_acceptances = 1 - accepted_same / num_same, accepted_different / num_different
    after = int(np.argmax(false_acceptances >= false_rejections))  # at least 1: nothing is accepted at first
    gap_before = false_rejections[after - 1] - false_acceptances[after - 1]
    gap_after = false_acceptances[after] - false_rejections[after]
    share = gap_before / (gap_before + gap_after)
    return float(false_acceptances[after - 1] + share * (false_acceptances[after] - false_acceptances[after - 1]))


def score_all_pairs(embeddings: np.ndarray, speakers: Sequence[int] | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cosine similarity of every two different utterances.

    Args:
        embeddings: `(num_utterances, embedding_size)`.
        speakers: `(num_utterances,)`.

    Returns:
        Scores and whether the speakers are the same, both of shape `(num_utterances * (num_utterances - 1) / 2,)`.
    """
    embeddings = np.asarray(embeddings, dtype=np.float32)
    norms = np.linalg.norm(embeddings, axis=1, keepdims=True)
    directions = embeddings / np.maximum(norms, np.finfo(np.float32).tiny)
    first, second = np.triu_indices(len(directions), k=1)
    speakers = np.asarray(speakers)
    return (directions @ directions.T)[first, second], speakers[first] == speakers[second]
