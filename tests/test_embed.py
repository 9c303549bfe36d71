"""Embeddings: purity and mutual information by hand, clusters of tones, contents of the files."""

import math
from pathlib import Path

import numpy as np
import pytest

from speechxfer.data.manifest import read_manifest, write_manifest
from speechxfer.errors import InputError
from speechxfer.workflows.embeddings import agreement, cluster, embed, principal_components
from tests.test_runs import write_model
from tests.tone_corpus import write_tone_corpus


def test_purity_and_nmi_by_hand() -> None:
    """Two clusters of three: one has a a b, the other b b b. 5 of 6 have the most frequent label of their cluster.

    NMI = I / mean(H(labels), H(clusters)): H(labels) over 1/3, 2/3; H(clusters) = ln 2; I = H(labels) - H(1/3)/2.
    """
    found = agreement("word", ["a", "a", "b", "b", "b", "b"], np.array([0, 0, 0, 1, 1, 1]))
    entropy = -(math.log(1 / 3) / 3 + 2 * math.log(2 / 3) / 3)
    information = entropy - entropy / 2
    assert found.purity == pytest.approx(5 / 6)
    assert found.nmi == pytest.approx(information / ((entropy + math.log(2)) / 2))
    assert found.classes == 2


def test_distant_clusters_are_found_and_always_the_same() -> None:
    generator = np.random.default_rng(0)
    centres = np.repeat(np.eye(3) * 20, 10, axis=0)
    points = centres + generator.standard_normal(centres.shape)
    found = cluster(points, 3)
    assert agreement("centre", [str(n // 10) for n in range(30)], found).purity == 1.0
    assert np.array_equal(found, cluster(points, 3))


def test_components_are_uncorrelated_with_decreasing_variance() -> None:
    values = np.random.default_rng(0).standard_normal((50, 6)).astype(np.float32)
    values[:, 1] += 3 * values[:, 0]
    components = principal_components(values)
    covariance = np.cov(components.T)
    assert np.allclose(covariance - np.diag(np.diag(covariance)), 0, atol=1e-4)
    assert list(np.diag(covariance)) == sorted(np.diag(covariance), reverse=True)
    with pytest.raises(InputError, match="2 utterances are too few"):
        principal_components(values[:2])


def test_words_of_different_tones_form_clusters(tmp_path: Path) -> None:
    """Random weights suffice for tones of different pitch; six words, eight recordings of each."""
    rows = []
    for letter in "abcdef":
        recordings = write_tone_corpus(
            tmp_path / f"{letter}.jsonl", 8, letters=letter, seed=3, words=(1, 1), letters_in_word=1, speakers=2
        )
        rows += [
            u.__class__(f"{letter}{u.id}", u.audio_filepath, u.duration, letter, speaker=u.speaker) for u in recordings
        ]
    write_manifest(tmp_path / "all.jsonl", rows)
    write_model(tmp_path / "model", "dnn")
    found = embed(str(tmp_path / "model"), [tmp_path / "all.jsonl"], tmp_path / "out", frames=True)
    assert {one.label: one.classes for one in found.agreements} == {"speaker": 2, "text": 6}
    with np.load(tmp_path / "out" / "vectors.npz") as saved:
        assert saved["ids"].tolist() == [u.id for u in read_manifest(tmp_path / "all.jsonl")]
        assert saved["texts"].tolist() == [u.text for u in rows]
        assert saved["lengths"].sum() == len(saved["frames"])
        first = saved["frames"][: saved["lengths"][0]].mean(axis=0)
        np.testing.assert_allclose(saved["vectors"][0], first, rtol=1e-5, atol=1e-6)
    table = (tmp_path / "out" / "clusters.tsv").read_text().splitlines()
    assert table[0].split("\t") == ["id", "x", "y", "speaker", "speaker_cluster", "text", "text_cluster"]
    assert len(table) == 49
    assert (tmp_path / "out" / "map.png").stat().st_size > 10_000


def test_speech_without_labels_has_a_map_and_no_agreement(tmp_path: Path) -> None:
    rows = write_tone_corpus(tmp_path / "tones.jsonl", 6, speakers=1)
    unlabelled = [u.__class__(u.id, u.audio_filepath, u.duration) for u in rows]
    write_manifest(tmp_path / "bare.jsonl", unlabelled)
    write_model(tmp_path / "model", "dnn")
    assert embed(str(tmp_path / "model"), [tmp_path / "bare.jsonl"], tmp_path / "out").agreements == ()
    assert (tmp_path / "out" / "map.png").exists()
