"""Embeddings of utterances without transcripts: vectors, their clusters, and a two-dimensional map.

An utterance's vector is the mean of its encoder outputs. Principal components, k-means and normalised mutual information are
scikit-learn's; purity is the share of utterances with the most frequent label of their cluster (Manning et al., 'Introduction
to information retrieval', section 16.3).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from speechxfer.checkpoints import load_model
from speechxfer.data import Samples, Utterance, read_concatenated
from speechxfer.decoding import encode_utterances
from speechxfer.errors import InputError
from speechxfer.runtime import atomic_file, default_device, log_info, write_atomically
from speechxfer.workflows.plots import plot_map
from speechxfer.workflows.run_inputs import trained_audio_options

COMPONENTS = 32
MAX_CLASSES_RATIO = 0.5  # of the utterances: with more distinct labels, labels are not classes


@dataclass(frozen=True)
class Agreement:
    """How well clusters agree with one kind of label; `nmi` is normalised mutual information (0 unrelated, 1 equal)."""

    label: str
    classes: int
    purity: float
    nmi: float

    def __str__(self) -> str:
        return f"{self.classes} clusters against {self.label}: purity {self.purity:.3f}, NMI {self.nmi:.3f}"


@dataclass(frozen=True)
class Embedding:
    """Vectors of a corpus, `[utterances, dim]`, and how their clusters agree with the labels."""

    vectors: Samples
    agreements: tuple[Agreement, ...]

    def __str__(self) -> str:
        return "\n".join([f"{len(self.vectors)} vectors of {self.vectors.shape[1]} values", *map(str, self.agreements)])


def embed(
    model: str,
    manifests: Sequence[Path],
    out: Path,
    *,
    frames: bool = False,
    resample: bool | None = None,
    mono: bool | None = None,
) -> Embedding:
    """Encode a corpus and cluster its utterances.

    Files in `out`: ``vectors.npz`` (``ids``, ``speakers``, ``texts``, ``vectors``; with `frames` also ``frames`` `[all frames,
    dim]` and ``lengths``), ``clusters.tsv`` (id, position on the map, cluster and label for each kind of label), ``map.png``.

    Args:
        model: name as for `load_model`.
        manifests: utterances; speaker and text, where given, are the labels that clusters are compared with.
        frames: also write every encoder frame.
        resample, mono: permissions as in `read_audio`; None: as the model was trained.
    """
    utterances = read_concatenated(manifests)
    loaded = load_model(model).to(default_device())
    encoded = encode_utterances(loaded, utterances, trained_audio_options(model, loaded.spec, resample, mono))
    vectors = np.stack([values.mean(axis=0) for values in encoded])
    components = principal_components(vectors)
    all_labels = {"speaker": [u.speaker for u in utterances], "text": [u.text for u in utterances]}
    arrays: dict[str, Any] = {
        "ids": np.array([u.id for u in utterances]),
        "speakers": np.array(all_labels["speaker"]),
        "texts": np.array(all_labels["text"]),
        "vectors": vectors,
    }
    if frames:
        arrays |= {"frames": np.concatenate(encoded), "lengths": np.array([len(values) for values in encoded])}
    with atomic_file(out / "vectors.npz") as partial, partial.open("wb") as file:
        np.savez_compressed(file, **arrays)
    labels = {
        name: values for name, values in all_labels.items() if 2 <= len(set(values)) <= MAX_CLASSES_RATIO * len(values)
    }
    clusters = {name: cluster(components, len(set(values))) for name, values in labels.items()}
    write_atomically(out / "clusters.tsv", _table(utterances, components, labels, clusters))
    plot_map(components[:, :2], labels, out / "map.png")
    log_info(f"wrote {out / 'vectors.npz'}, {out / 'clusters.tsv'} and {out / 'map.png'}")
    return Embedding(vectors, tuple(agreement(name, labels[name], clusters[name]) for name in labels))


def principal_components(vectors: Samples) -> Samples:
    """The first components of standardised vectors `[utterances, dim]`: `[utterances, at most COMPONENTS]`.

    Raises:
        InputError: fewer than three utterances.
    """
    if len(vectors) < 3:
        raise InputError(f"{len(vectors)} utterances are too few for a map; give three or more")
    from sklearn.decomposition import PCA  # slow to import

    standard = (vectors - vectors.mean(axis=0)) / np.maximum(vectors.std(axis=0), 1e-5)
    components: Samples = PCA(min(COMPONENTS, *vectors.shape), random_state=0).fit_transform(standard)
    return components


def cluster(points: Samples, clusters: int) -> npt.NDArray[np.int64]:
    """The cluster of each point by k-means, the best of ten initialisations; deterministic."""
    from sklearn.cluster import KMeans  # slow to import

    found: npt.NDArray[np.int64] = KMeans(clusters, n_init=10, random_state=0).fit_predict(points).astype(np.int64)
    return found


def agreement(name: str, labels: Sequence[str], clusters: npt.NDArray[np.int64]) -> Agreement:
    """Purity and normalised mutual information of clusters and labels."""
    from sklearn.metrics import normalized_mutual_info_score  # slow to import

    members: dict[int, Counter[str]] = {}
    for number, label in zip(clusters.tolist(), labels, strict=True):
        members.setdefault(number, Counter())[label] += 1
    majority = sum(counts.most_common(1)[0][1] for counts in members.values())
    nmi = float(normalized_mutual_info_score(list(labels), clusters))
    return Agreement(name, len(set(labels)), majority / len(labels), nmi)


def _table(
    utterances: Sequence[Utterance],
    components: Samples,
    labels: dict[str, list[str]],
    clusters: dict[str, npt.NDArray[np.int64]],
) -> str:
    columns = ["id", "x", "y"] + [f"{name}{part}" for name in labels for part in ("", "_cluster")]
    rows = ["\t".join(columns)]
    for row, utterance in enumerate(utterances):
        cells = [utterance.id, f"{components[row, 0]:.4f}", f"{components[row, 1]:.4f}"]
        for name in labels:
            cells += [labels[name][row].replace("\t", " "), str(clusters[name][row])]
        rows.append("\t".join(cells))
    return "\n".join(rows) + "\n"
