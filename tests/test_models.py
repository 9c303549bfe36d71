"""Models: padding changes no output, lengths are exact, `classify` is one distribution, `dnn` is the articles' network."""

import copy
import itertools
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from speechxfer.adaptation.partial_loading import load_matching
from speechxfer.errors import InputError
from speechxfer.features.batches import padding_mask
from speechxfer.features.presets import PRESETS
from speechxfer.models.acoustic_model import AcousticModel
from speechxfer.models.architecture import Architecture, build_encoder
from speechxfer.models.conformer import (
    SIZES,
    SUBSAMPLING_CHANNELS,
    ConformerLayer,
    ConvolutionModule,
    Subsampling,
    rotary_angles,
    rotate,
)
from speechxfer.models.heads import Pooling
from speechxfer.models.layers import ChannelDropout, MaskedBatchNorm
from speechxfer.text.normalizer import Normalizer
from speechxfer.text.vocabulary import BLANK, Vocabulary

VOCABULARY = Vocabulary((BLANK, *"abcdefgh"))
ENCODERS = [("conformer", 4), ("conformer", 8), ("cnn", 4), ("cnn", 8), ("dnn", 1)]
LENGTHS = (9, 70, 1, 37, 113, 8, 2, 64)


def model_of(
    encoder: str, subsampling: int, task: str = "ctc", vocabulary: Vocabulary = VOCABULARY, dropout: float = 0.1
) -> AcousticModel:
    """A tiny model in evaluation mode, its batch statistics (if any) those of some random utterances."""
    torch.manual_seed(1)
    architecture = Architecture(encoder, "tiny", subsampling, dropout)
    model = AcousticModel(architecture, vocabulary, PRESETS["kaldi-mvn"], Normalizer(), task)
    with torch.no_grad():
        for weights in model.parameters():
            if not weights.any():  # a new conformer layer is the identity, which would make most tests easy
                weights.normal_(0.0, 0.1)
        model(torch.randn(4, 160, 80), torch.tensor([160, 90, 120, 33]))
    return model.eval()


def utterances(lengths: tuple[int, ...] = LENGTHS) -> list[Tensor]:
    generator = torch.Generator().manual_seed(2)
    return [torch.randn(1, length, 80, generator=generator) for length in lengths]


def padded(features: list[Tensor], fill: float, extra: int = 0) -> tuple[Tensor, Tensor]:
    lengths = torch.tensor([values.shape[1] for values in features])
    batch = torch.full((len(features), int(lengths.max()) + extra, 80), fill)
    for row, values in enumerate(features):
        batch[row, : values.shape[1]] = values
    return batch, lengths


# --- Padding ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", ["ctc", "classify"])
@pytest.mark.parametrize(("encoder", "subsampling"), ENCODERS)
def test_padding_never_changes_an_utterances_output(encoder: str, subsampling: int, task: str) -> None:
    model = model_of(encoder, subsampling, task)
    alone = utterances()
    with torch.inference_mode():
        for fill, extra in ((0.0, 0), (37.0, 0), (0.0, 51)):  # any values and any amount of padding
            together, lengths = model(*padded(alone, fill, extra))
            for row, values in enumerate(alone):
                expected, length = model(values, torch.tensor([values.shape[1]]))
                assert int(length) == int(lengths[row])
                difference = (together[row, : int(length), 1:] - expected[0, :, 1:]).abs().max()
                assert difference < 1e-5, (values.shape, fill, extra)


@pytest.mark.parametrize(("encoder", "subsampling"), ENCODERS)
def test_no_gradient_comes_from_the_padding(encoder: str, subsampling: int) -> None:
    model = model_of(encoder, subsampling)
    features, lengths = padded(utterances(), 0.5)
    features.requires_grad_()
    log_probs, out_lengths = model(features, lengths)
    sum(log_probs[row, :length, 1].sum() for row, length in enumerate(out_lengths.tolist())).backward()
    gradient = features.grad.abs().sum(dim=-1)
    for row, length in enumerate(lengths.tolist()):
        assert (gradient[row, length:] == 0).all()
        assert (gradient[row, :length] > 0).all()


@pytest.mark.parametrize(("encoder", "subsampling"), ENCODERS)
def test_a_padded_batch_has_the_gradients_of_its_utterances_alone(encoder: str, subsampling: int) -> None:
    def gradients(batches: list[tuple[Tensor, Tensor]]) -> list[Tensor]:
        model.zero_grad()
        for features, lengths in batches:
            log_probs, out_lengths = model(features, lengths)
            for row, length in enumerate(out_lengths.tolist()):
                log_probs[row, :length, 3].sum().backward(retain_graph=True)
        return [parameter.grad.clone() for parameter in model.parameters()]

    model = model_of(encoder, subsampling)
    alone = utterances((9, 37, 64))
    together = gradients([padded(alone, 0.5)])
    one_by_one = gradients([(values, torch.tensor([values.shape[1]])) for values in alone])
    for a, b in zip(together, one_by_one, strict=True):
        assert torch.allclose(a, b, rtol=1e-3, atol=1e-4 * float(b.abs().max()) + 1e-6)


@pytest.mark.parametrize("encoder", ["conformer", "cnn"])
def test_batch_statistics_come_from_the_utterances_own_frames_only(encoder: str) -> None:
    model = model_of(encoder, 4)
    before = dict(model.named_buffers())
    statistics = []
    for fill, extra in ((0.0, 0), (9.0, 40)):
        copy = model_of(encoder, 4, dropout=0.0).train()
        copy.load_state_dict(model.state_dict())
        copy(*padded(utterances(), fill, extra))
        statistics.append({name: value for name, value in copy.named_buffers() if value.is_floating_point()})
    assert statistics[0]
    for name, value in statistics[0].items():
        assert torch.allclose(value, statistics[1][name], atol=1e-4), name
        assert not torch.equal(value, before[name])


def test_masked_batch_norm_is_batch_norm_of_the_valid_frames() -> None:
    torch.manual_seed(0)
    ours, theirs = MaskedBatchNorm(5), nn.BatchNorm1d(5)
    lengths = torch.tensor([7, 3, 1])
    values, valid = torch.randn(3, 7, 5) * 3 + 1, padding_mask(lengths, 7)
    joined = torch.cat([values[row, :length] for row, length in enumerate(lengths.tolist())])
    for train in (True, False):
        normalized, expected = ours.train(train)(values, valid), theirs.train(train)(joined)
        assert torch.allclose(normalized[valid], expected, atol=1e-6)
        assert (normalized[~valid] == 0).all()
        assert torch.allclose(ours.running_var, theirs.running_var)


@pytest.mark.parametrize("lengths", [[7, 3, 1], [1, 0, 0]])
def test_batch_norm_by_sums_is_batch_norm_by_indices(lengths: list[int]) -> None:
    torch.manual_seed(0)
    by_index, by_sums = MaskedBatchNorm(5).train(), MaskedBatchNorm(5).train()
    values, valid = torch.randn(3, 7, 5) * 3 + 1, padding_mask(torch.tensor(lengths), 7)
    for norm in (by_index, by_sums):
        norm.running_mean.fill_(0.5)
    pairs = []
    for norm, function in ((by_index, by_index), (by_sums, lambda x, v: by_sums.normalize_masked(x, v[..., None]))):
        inputs = values.clone().requires_grad_()
        outputs = function(inputs, valid)
        outputs.square().sum().backward()
        pairs.append((outputs.detach(), inputs.grad, norm.running_mean, norm.running_var, norm.num_batches_tracked))
    for expected, found in zip(*pairs, strict=True):
        assert torch.allclose(expected, found, atol=1e-5)


# --- Lengths ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("encoder", "subsampling"), ENCODERS)
def test_output_lengths_are_exact(encoder: str, subsampling: int) -> None:
    model = model_of(encoder, subsampling)
    lengths = torch.arange(1, 71)
    expected = [-(-length // subsampling) for length in range(1, 71)]
    with torch.inference_mode():
        assert model.encoder.output_lengths(lengths).tolist() == expected
        log_probs, out_lengths = model(torch.zeros(70, 70, 80), lengths)  # all of them in one batch
        assert out_lengths.tolist() == expected
        assert log_probs.shape == (70, expected[-1], 9)
        for length in range(1, 71):
            log_probs, out_length = model(torch.zeros(1, length, 80), torch.tensor([length]))
            assert log_probs.shape == (1, expected[length - 1], 9)
            assert out_length.tolist() == [expected[length - 1]]


@pytest.mark.parametrize(("encoder", "subsampling"), ENCODERS)
def test_lengths_of_a_table_keep_its_shape(encoder: str, subsampling: int) -> None:
    table = torch.tensor([[8, 9], [16, 1]])  # [speed, utterance], as the training loop asks
    lengths = build_encoder(Architecture(encoder, "tiny", subsampling), 80).output_lengths(table)
    assert lengths.tolist() == [[-(-length // subsampling) for length in row] for row in table.tolist()]


# --- Outputs ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("encoder", "subsampling"), ENCODERS)
def test_ctc_gives_a_distribution_per_frame(encoder: str, subsampling: int) -> None:
    with torch.inference_mode():
        log_probs, _ = model_of(encoder, subsampling)(*padded(utterances(), 0.0))
    assert log_probs.dtype == torch.float32
    assert torch.allclose(log_probs.exp().sum(dim=-1), torch.ones(log_probs.shape[:2]), atol=1e-5)


@pytest.mark.parametrize(("encoder", "subsampling"), ENCODERS)
def test_classify_gives_one_distribution_without_the_blank(encoder: str, subsampling: int) -> None:
    model = model_of(encoder, subsampling, "classify")
    log_probs, lengths = model(*padded(utterances(), 0.0))
    assert log_probs.shape == (8, 1, 9)
    assert lengths.tolist() == [1] * 8
    assert (log_probs[..., 0].exp() == 0).all()
    assert torch.allclose(log_probs[..., 1:].exp().sum(dim=-1), torch.ones(8, 1), atol=1e-5)
    nn.functional.nll_loss(log_probs[:, 0], torch.arange(1, 9)).backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())
    assert (model.head.weight.grad[0] == 0).all()  # the blank is never an answer


def test_classify_on_the_articles_network_averages_the_encoded_frames() -> None:
    model = model_of("dnn", 1, "classify")
    values = utterances((37,))[0]
    encoded, _ = model.encoder(values, torch.tensor([37]))
    expected = model.head(encoded.mean(dim=1))[:, 1:].log_softmax(dim=-1)
    log_probs, _ = model(values, torch.tensor([37]))
    assert torch.allclose(log_probs[:, 0, 1:], expected, atol=1e-6)


@pytest.mark.parametrize("encoder", ["conformer", "cnn"])
def test_classify_uses_mean_and_maximum_of_every_layer(encoder: str) -> None:
    """One utterance: each layer's output is from an encoder without the layers above; normalised by numpy."""
    model = model_of(encoder, 4, "classify")
    values, length = utterances((37,))[0], torch.tensor([37])
    statistics = []
    with torch.no_grad():
        for count in range(1, len(model.encoder.layers) + 1):
            lower = copy.deepcopy(model.encoder)
            lower.layers, lower.adapters = lower.layers[:count], lower.adapters[:count]
            statistics.append(lower(values, length)[0][0].numpy())
        found = model(values, length)[0][0, 0, 1:]
        pooled = np.concatenate([f(axis=0) for name in ("mean", "max") for f in (getattr(x, name) for x in statistics)])
        mean, variance = (getattr(model.pooling.norm, f"running_{name}").numpy() for name in ("mean", "var"))
        normalized = torch.from_numpy((pooled - mean) / np.sqrt(variance + 1e-5)).float()
        expected = model.head(normalized)[1:].log_softmax(dim=-1)
    assert torch.allclose(found, expected, atol=1e-4)


def test_pooling_normalises_by_the_batch_in_training_and_a_single_utterance_by_running_statistics() -> None:
    torch.manual_seed(3)
    pooling, lengths = Pooling(12), torch.tensor([5, 2, 4])
    layers = [torch.randn(3, 5, 3) for _ in range(2)]
    pooling.dropout.p = 0.0
    pooled = torch.stack(
        [
            torch.cat([*(x[i, :n].mean(0) for x in layers), *(x[i, :n].amax(0) for x in layers)])
            for i, n in enumerate([5, 2, 4])
        ]
    )
    batch = pooling(layers, lengths)[:, 0]
    torch.testing.assert_close(batch, (pooled - pooled.mean(0)) / (pooled.var(0, correction=0) + 1e-5).sqrt())
    running = {"mean": 0.05 * pooled.mean(0), "var": 0.95 + 0.05 * pooled.var(0)}
    torch.testing.assert_close(pooling.norm.running_mean, running["mean"])
    torch.testing.assert_close(pooling.norm.running_var, running["var"])
    expected = (pooled - running["mean"]) / (running["var"] + 1e-5).sqrt()
    alone = pooling([x[1:2] for x in layers], lengths[1:2])[:, 0]  # still in training
    torch.testing.assert_close(alone, expected[1:2])
    torch.testing.assert_close(pooling.eval()(layers, lengths)[:, 0], expected)


def test_extra_layers_come_before_the_pooling() -> None:
    torch.manual_seed(1)
    architecture = Architecture("conformer", "tiny", 4, extra_layers=1)
    model = AcousticModel(architecture, VOCABULARY, PRESETS["kaldi-mvn"], Normalizer(), "classify").eval()
    values, length = utterances((37,))[0], torch.tensor([37])
    before = model(values, length)[0]
    with torch.no_grad():
        model.extra.layers[0].norm.weight.uniform_(0.5, 2.0)
    assert not torch.allclose(model(values, length)[0][..., 1:], before[..., 1:], atol=1e-3)


# --- Dropout --------------------------------------------------------------------------------------------------------------


def test_channel_dropout_drops_whole_channels_of_an_utterance_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    dropout = ChannelDropout(0.25)
    dropped = dropout(torch.ones(64, 5, 100))
    assert torch.equal(dropped, dropped[:, :1].expand(64, 5, 100))  # the same for all frames
    assert dropped.unique().tolist() == pytest.approx([0.0, 1 / 0.75])
    assert dropped.mean() == pytest.approx(1.0, abs=0.03)
    assert not torch.equal(dropped[0], dropped[1])
    assert torch.equal(dropout.eval()(torch.ones(2, 3, 4)), torch.ones(2, 3, 4))


def test_adding_a_branch_drops_its_channels_and_not_those_of_the_sum() -> None:
    dropout, x, branch = ChannelDropout(0.25), torch.randn(4, 5, 6), torch.randn(4, 5, 6)
    torch.manual_seed(0)
    expected = x + 0.5 * dropout(branch)
    torch.manual_seed(0)
    torch.testing.assert_close(dropout.add(x, branch, 0.5), expected)
    torch.testing.assert_close(dropout.eval().add(x, branch, 0.5), x + branch / 2)


def test_subsampling_has_the_gradients_of_masked_convolutions() -> None:
    torch.manual_seed(0)
    module, features, lengths = Subsampling(8, 12, 4), torch.randn(3, 21, 8), torch.tensor([21, 9, 2])
    x, expected_lengths = features[:, None], lengths
    for convolution in module.convolutions:
        x = torch.relu(convolution(x * padding_mask(expected_lengths, x.shape[2])[:, None, :, None]))
        expected_lengths = (expected_lengths + 1) // 2
    expected = module.output(x.transpose(1, 2).flatten(2))
    valid = padding_mask(expected_lengths, expected.shape[1])
    expected[valid].square().sum().backward()
    gradients = [parameter.grad.clone() for parameter in module.parameters()]
    module.zero_grad()
    found, found_lengths = module(features, lengths)
    found[valid].square().sum().backward()
    assert torch.equal(found_lengths, expected_lengths)
    torch.testing.assert_close(found[valid], expected[valid])
    torch.testing.assert_close([parameter.grad for parameter in module.parameters()], gradients)


# --- Architectures ------------------------------------------------------------------------------------------------------


def test_dnn_is_the_articles_network() -> None:
    torch.manual_seed(5)
    article = nn.Sequential(nn.Linear(80, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10))
    model = model_of("dnn", 1, vocabulary=Vocabulary((BLANK, *"abcdefghi")))
    ours = {"0": "encoder.layers.0.0", "2": "encoder.layers.1.0", "4": "head"}
    renamed = {f"{ours[key.split('.')[0]]}.{key.split('.')[1]}": value for key, value in article.state_dict().items()}
    report = load_matching(model, renamed)
    assert len(report.taken) == 6
    assert report.resized == report.missing == report.unexpected == ()
    frames = torch.randn(2, 25, 80)
    encoded, _ = model.encoder(frames, torch.tensor([25, 25]))
    assert torch.equal(model.head(encoded), article(frames))
    log_probs, _ = model(frames, torch.tensor([25, 25]))
    assert torch.allclose(log_probs, article(frames).log_softmax(dim=-1), atol=1e-6)


def parameters(encoder: str, size: str, subsampling: int) -> int:
    return sum(p.numel() for p in build_encoder(Architecture(encoder, size, subsampling), 80).parameters())


def test_dnn_sizes_by_hand() -> None:
    assert parameters("dnn", "tiny", 1) == 80 * 128 + 128 + 128 * 64 + 64
    assert parameters("dnn", "small", 1) == 80 * 512 + 512 + 512 * 512 + 512 + 512 * 256 + 256


@pytest.mark.parametrize(("size", "least", "most"), [("tiny", 1e6, 2e6), ("small", 2.5e6, 5e6), ("base", 15e6, 20e6)])
def test_conformer_sizes_by_hand(size: str, least: float, most: float) -> None:
    dim, layers, channels = SIZES[size]["dim"], SIZES[size]["layers"], SUBSAMPLING_CHANNELS
    norm = 2 * dim
    feed_forward = norm + (dim * 4 * dim + 4 * dim) + (4 * dim * dim + dim)
    attention = norm + (dim * 3 * dim + 3 * dim) + (dim * dim + dim)
    convolution = norm + (dim * 2 * dim + 2 * dim) + (15 * dim + dim) + norm + (dim * dim + dim)
    layer = 2 * feed_forward + attention + convolution + norm
    subsampling = (9 * channels + channels) + (9 * channels * channels + channels)
    joining = channels * 20 * dim + dim  # 80 bands, halved twice
    assert parameters("conformer", size, 4) == layers * layer + subsampling + joining
    assert least < parameters("conformer", size, 4) < most


@pytest.mark.parametrize(("size", "dim", "layers", "kernel"), [("tiny", 96, 4, 9), ("small", 256, 6, 11)])
def test_cnn_sizes_by_hand(size: str, dim: int, layers: int, kernel: int) -> None:
    norm = 2 * dim
    assert parameters("cnn", size, 4) == (
        5 * 80 * dim + norm + 5 * dim * dim + norm + layers * (kernel * dim * dim + norm)
    )


@pytest.mark.parametrize("encoder", ["conformer", "cnn", "dnn"])
def test_sizes_grow_and_stay_small_enough_to_train_on_two_cores(encoder: str) -> None:
    sizes = [parameters(encoder, size, 1 if encoder == "dnn" else 4) for size in ("tiny", "small", "base")]
    assert sizes[0] < sizes[1] < sizes[2] < 25e6


@pytest.mark.parametrize(("encoder", "subsampling"), ENCODERS)
def test_layer_groups_have_every_parameter_once(encoder: str, subsampling: int) -> None:
    built = build_encoder(Architecture(encoder, "tiny", subsampling), 80)
    grouped = [id(p) for p in itertools.chain.from_iterable(group.parameters() for group in built.layer_groups())]
    assert sorted(grouped) == sorted(id(p) for p in built.parameters())


def test_a_new_conformer_layer_is_a_layer_norm() -> None:
    # De and Smith (arXiv:2002.10444): residual branches that start at zero.
    torch.manual_seed(3)
    layer = ConformerLayer(16, 4, 15, 0.0)
    values, valid = torch.randn(2, 9, 16) * 3 + 1, padding_mask(torch.tensor([9, 5]), 9)
    expected = nn.functional.layer_norm(values, (16,))
    torch.testing.assert_close(layer(values, valid, rotary_angles(9, 4, torch.device("cpu"))), expected)


def test_the_order_of_frames_matters_to_a_conformer() -> None:
    model = model_of("conformer", 4)
    values = utterances((64,))[0]
    forwards, _ = model.encoder(values, torch.tensor([64]))
    backwards, _ = model.encoder(values.flip(1), torch.tensor([64]))
    assert (forwards - backwards.flip(1)).abs().max() > 0.1


def test_the_depthwise_convolution_is_torchs_own_over_time() -> None:
    torch.manual_seed(0)
    module, x = ConvolutionModule(24, 15), torch.randn(3, 40, 24)
    torch.testing.assert_close(module._over_time(x), module.depthwise(x.transpose(1, 2)).transpose(1, 2))


def test_attention_depends_on_distance_and_not_on_position() -> None:
    # Rotary positions (arXiv:2104.09864): q_m . k_n is a function of m - n.
    query, key = torch.randn(2, 24, generator=torch.Generator().manual_seed(0))
    rotation = rotary_angles(50, 24, torch.device("cpu"))
    queries, keys = (
        rotate(query.expand(1, 1, 50, 24), rotation)[0, 0],
        rotate(key.expand(1, 1, 50, 24), rotation)[0, 0],
    )
    scores = queries @ keys.T
    for distance in (0, 1, 7, -7):
        diagonal = scores.diagonal(distance)
        assert torch.allclose(diagonal, diagonal[:1].expand_as(diagonal), atol=1e-4)
    assert (scores[0, 0] - scores[0, 7]).abs() > 1e-3
    assert torch.allclose(queries.norm(dim=-1), query.norm().expand(50), atol=1e-4)  # a rotation keeps lengths


@pytest.mark.parametrize(
    ("architecture", "message"),
    [
        (
            Architecture("rnn"),
            "encoder 'rnn' is unknown; expected one of conformer, cnn, dnn, parakeet, nemo-conformer, wav2vec2-bert, whisper, "
            "speech2text",
        ),
        (Architecture("cnn", "huge"), "size 'huge' is unknown for cnn; expected one of tiny, small, base"),
        (Architecture("conformer", "tiny", 2), "conformer cannot subsample by 2; set model.subsampling to 4 or 8"),
        (Architecture("dnn", "tiny", 4), "dnn cannot subsample by 4; set model.subsampling to 1"),
    ],
)
def test_unknown_encoders_and_sizes_are_refused(architecture: Architecture, message: str) -> None:
    with pytest.raises(InputError) as caught:
        build_encoder(architecture, 80)
    assert str(caught.value) == message


def test_an_unknown_task_is_refused() -> None:
    with pytest.raises(InputError, match="task 'translate' is unknown; expected one of ctc, classify"):
        model_of("dnn", 1, "translate")


def test_a_batch_of_a_single_encoded_frame_trains() -> None:
    model = AcousticModel(Architecture("cnn", "tiny"), VOCABULARY, PRESETS["kaldi-mvn"], Normalizer()).train()
    log_probs, _ = model(torch.randn(1, 3, 80), torch.tensor([3]))
    log_probs.sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


# --- Claimed sizes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "claims",
    [
        {"adapter_dim": 10**9},
        {"adapter_dim": -1},
        {"adapter_dim": "8"},
        {"extra_layers": 10**9},
        {"extra_layers": 10**5000},
        {"subsampling": 0},
        {"dropout": float("nan")},
        {"dropout": 1.0},
        {"size": 3},
        {"config": []},
    ],
)
def test_architectures_out_of_bounds_are_refused(claims: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=f"{next(iter(claims))} is"):
        Architecture(**({"encoder": "cnn"} | claims))


def test_features_of_a_million_values_are_refused() -> None:
    with pytest.raises(InputError, match=r"values per frame .* is 1000000; expected a whole number from 1 to"):
        build_encoder(Architecture("conformer"), 1_000_000)


@pytest.mark.parametrize(
    ("encoder", "config", "message"),
    [
        ("whisper", {"max_source_positions": 10**13}, "max_source_positions is 10000000000000; expected"),
        ("whisper", {"encoder_layers": 10**9}, "encoder_layers is 1000000000; expected a whole number from -1 to 512"),
        ("whisper", {"d_model": 10**30}, "d_model is a number of 30 digits"),
        ("whisper", {"dropout": float("inf")}, "dropout is inf; expected a finite number"),
        ("speech2text", {"conv_kernel_sizes": [3] * 10_000}, "conv_kernel_sizes is a list of 10000"),
        (
            "parakeet",
            {"hidden_size": 1 << 20, "num_attention_heads": 8},
            r"asks for [\d,]+ parameters; expected at most",
        ),
        ("parakeet", {"subsampling_factor": 0}, "transformers refuses the configuration"),
    ],
)
def test_configurations_out_of_bounds_are_refused(encoder: str, config: dict[str, Any], message: str) -> None:
    pytest.importorskip("transformers")
    with pytest.raises(InputError, match=message):
        build_encoder(Architecture(encoder, config=config), 80)


@pytest.mark.parametrize(("encoder", "subsampling"), ENCODERS)
def test_shapes_are_known_without_allocating(encoder: str, subsampling: int) -> None:
    architecture = Architecture(encoder, "tiny", subsampling, adapter_dim=4)
    with torch.device("meta"):
        described = build_encoder(architecture, 80).state_dict()
    state = build_encoder(architecture, 80).state_dict()
    assert all(value.is_meta for value in described.values())
    assert {name: value.shape for name, value in described.items()} == {
        name: value.shape for name, value in state.items()
    }
