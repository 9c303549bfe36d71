"""The settings: every one with its type, default, unit, range and meaning, and the checks between settings.

[text], [model] and [transfer] define the model; [data] defines how audio is read; [finetune] defines the training. A setting
that is not set is None, in TOML an absent key. ``config.model_dump(mode="json")`` dumps a run's settings; `parse_config`
reads the dump back. This module imports no torch.
"""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Section(BaseModel):
    """Base of all sections: immutable, no unknown keys, no implicit conversion of types, no infinities or NaN.

    The text below a setting is its description, in error messages and in docs/settings.md.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


class DataConfig(Section):
    """[data]: how recordings are read."""

    resample: bool = False
    """resample audio whose sampling rate differs from the model's"""
    mono: bool = False
    """mix the channels of stereo audio into one"""
    cache_dir: str | None = Field(default=None, min_length=1)
    """folder of the feature cache, relative to the working directory; not set: `.features` beside the run's folder"""
    max_duration_s: float = Field(default=30.0, gt=0)
    """longest utterance that is trained on, in seconds"""
    unknown_symbols: Literal["error", "skip"] = "error"
    """what to do with a symbol that the vocabulary lacks: stop, or skip it and report how often"""
    repeats: list[Annotated[int, Field(ge=1, le=1000)]] = []
    """how often an epoch contains each training manifest, in the order of --train, to balance a small one against a large one;
    empty: each once"""


class TextConfig(Section):
    """[text]: what is predicted, and how transcripts are normalised on both sides of scoring."""

    task: Literal["ctc", "classify"] = "ctc"
    """transcribe (ctc), or choose one label per utterance: its whole text (classify)"""
    vocabulary: Literal["characters", "words", "bpe", "phones"] = "characters"
    """what a symbol is"""
    form: Literal["NFC", "NFD"] = "NFC"
    """Unicode form; NFD makes tone marks and accents symbols of their own"""
    lowercase: bool = True
    """fold letters to lower case"""
    punctuation: Literal["strip", "keep"] = "strip"
    """drop or keep punctuation between words"""
    bpe_size: int = Field(default=500, ge=8, le=100_000)
    """number of symbols of a bpe vocabulary"""
    letters: str | None = Field(default=None, min_length=1)
    """path of a JSON file (language: letter: phone), relative to the working directory; stored with a vocabulary of phones, so
    that a new language's letters can be initialised from phones"""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.task == "classify" and self.vocabulary != "words":
            raise ValueError(
                f'text.task = "classify" predicts one label per utterance but text.vocabulary = "{self.vocabulary}"; '
                'set text.vocabulary = "words"'
            )
        return self


class ModelConfig(Section):
    """[model]: the network that `train` initialises at random; `adapt` takes the source's, with this dropout."""

    encoder: Literal["conformer", "cnn", "dnn"] = "conformer"
    """kind of encoder"""
    size: Literal["tiny", "small", "base"] = "small"
    """size of the encoder"""
    subsampling: Literal[1, 4, 8] = 4
    """feature frames (10 ms each) per encoder frame: 4 or 8 for conformer and cnn, 1 for dnn"""
    features: str = Field(default="kaldi-mvn-78db-1.5s", min_length=1)
    """name of the feature preset"""
    dropout: float = Field(default=0.1, ge=0, lt=1)
    """probability that an activation is dropped in training"""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.encoder == "dnn") != (self.subsampling == 1):
            allowed = "1" if self.encoder == "dnn" else "4 or 8"
            raise ValueError(
                f'model.encoder = "{self.encoder}" cannot have model.subsampling = {self.subsampling}; '
                f"set model.subsampling to {allowed}"
            )
        return self


class TransferConfig(Section):
    """[transfer]: how the model of the target is built from the source model."""

    head: Literal["symbols", "random"] = "symbols"
    """how the new head is initialised: each symbol from the source's row of the same or nearest symbol, or all rows at random"""
    symbol_map: str | None = Field(default=None, min_length=1)
    """path of a TSV of rows `target symbol TAB source symbol`, relative to the working directory"""
    lora_rank: int = Field(default=0, ge=0)
    """train a low-rank update (LoRA) of this rank instead of the encoder's weights (extra `lora`); 0: off"""
    adapter_dim: int = Field(default=0, ge=0)
    """width of a bottleneck adapter added after each encoder layer; 0: none"""
    extra_layers: int = Field(default=0, ge=0)
    """Conformer layers added between encoder and head"""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.head != "symbols" and self.symbol_map:
            raise ValueError(
                f'transfer.head = "{self.head}" would ignore transfer.symbol_map; '
                'set transfer.head = "symbols" or remove transfer.symbol_map'
            )
        return self


SpeedFactor = Annotated[float, Field(ge=0.5, le=2.0)]


class FinetuneConfig(Section):
    """[finetune]: the training loop, for `train` and `adapt` alike."""

    seed: int = Field(default=1, ge=0, lt=2**32)
    """seed of every random generator"""
    steps: int | None = Field(default=None, ge=1)
    """number of updates; not set: from the amount of training speech (900 of 40 s for ten minutes, 2,205 for an hour)"""
    batch_s: float | None = Field(default=None, gt=0)
    """seconds of audio per step and process; not set: 40, or 20 if the encoder has more than 50 million parameters"""
    optimizer: Literal["adamw", "sgd"] = "adamw"
    """optimiser"""
    encoder_lr: float | None = Field(default=None, ge=0)
    """peak learning rate of the encoder; not set: 2e-3 for up to 3.2 million parameters, less for more (100 million: 2e-4, 600
    million: 6e-5), at least 1e-3 for a low-rank update, and 1e-3 from random weights"""
    head_lr: float | None = Field(default=None, ge=0)
    """peak learning rate of the head and of adapters and added layers; not set: 4e-3 if the head's input has up to 128
    dimensions, in proportion less for more (1,024: 5e-4), and at most 1e-3 from random weights"""
    layer_decay: float = Field(default=1.0, gt=0, le=1)
    """learning rate of each encoder layer relative to the layer above it"""
    warmup_steps: int | None = Field(default=None, ge=0)
    """steps of linear warm-up; not set: 10 % of the steps"""
    weight_decay: float = Field(default=0.01, ge=0)
    """weight decay"""
    freeze: Literal["none", "encoder"] | Annotated[int, Field(ge=0)] = "none"
    """what is not trained: nothing, the whole encoder, or the lowest N encoder layers; adapters inside a frozen encoder are
    trained"""
    unfreeze_every_steps: int = Field(default=0, ge=0)
    """gradual unfreezing: train the head alone, then one more encoder layer, from the top down, every so many steps; 0: off"""
    batch_norm: Literal["train", "frozen"] = "train"
    """batch norms of the encoder: update their statistics on the target, or keep the source's"""
    l2_sp: float = Field(default=0.0, ge=0)
    """lambda of L2-SP, which pulls encoder weights towards the source's: with 0.5 the encoder forgets less of the source's task
    and the target's error rate is up to a point higher; 0: off"""
    distillation: float = Field(default=0.0, ge=0)
    """lambda of the divergence from the source model's output distributions on the same speech; 0: off"""
    replay: float = Field(default=0.0, ge=0, lt=1)
    """share of each step's speech that is source data, with the source's head; needs source_manifests"""
    source_manifests: list[str] = []
    """paths of manifests of the source model's training data, for replay"""
    evaluate_every_steps: int | None = Field(default=None, ge=1)
    """steps between evaluations on dev; not set: a twentieth of the steps, at least 1"""
    patience: int = Field(default=0, ge=0)
    """evaluations without a better dev score before stopping; 0: never stop early"""
    select_by: Literal["wer", "cer"] = "wer"
    """dev score by which the best evaluations are chosen"""
    average_best: int = Field(default=5, ge=1)
    """how many of the best evaluations' weights are averaged"""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """number format of the arithmetic; auto: the faster one, by timing a step of each where a CPU has instructions for bf16"""
    gradient_checkpointing: bool = False
    """recompute each layer's activations in the backward pass: less memory for large transformers encoders"""
    speed_factors: tuple[SpeedFactor, ...] = Field(default=(0.9, 1.0, 1.1), strict=False)  # TOML and JSON give a list
    """speed perturbation: factors from which each utterance's is sampled; [1.0]: off"""
    distortion: float = Field(default=0.0, ge=0, le=1)
    """share of the utterances that are distorted, each time anew, by simulated rooms, microphones, lines and noise"""
    spec_augment: float = Field(default=1.0, ge=0, le=4)
    """strength of SpecAugment: 1 masks up to 10 mel bins and twice up to 5 % of the frames; 0: off"""
    augment_warmup_steps: int = Field(default=0, ge=0)
    """steps before augmentation begins"""
    intermediate_ctc: float | None = Field(default=None, ge=0, lt=1)
    """weight of the CTC loss of the middle encoder layer, through the same head; not set: 0.3 for ctc on an encoder whose layers
    have equal width, else 0"""

    @property
    def regularizers(self) -> list[str]:
        """Names of the settings that keep the model near its source and that are set above 0."""
        return [name for name in ("l2_sp", "distillation", "replay") if getattr(self, name)]

    @model_validator(mode="after")
    def _check_steps(self) -> Self:
        if self.steps is not None:
            if self.warmup_steps is not None and self.steps <= self.warmup_steps:
                raise ValueError(
                    f"finetune.warmup_steps = {self.warmup_steps} leaves none of finetune.steps = {self.steps}; "
                    "set fewer, or remove finetune.warmup_steps for 10 %"
                )
            if self.evaluate_every_steps is not None and self.steps < self.evaluate_every_steps:
                raise ValueError(
                    f"finetune.evaluate_every_steps = {self.evaluate_every_steps} is more than finetune.steps = "
                    f"{self.steps}; set fewer, or remove finetune.evaluate_every_steps for a twentieth of the steps"
                )
        if not self.speed_factors:
            raise ValueError("finetune.speed_factors is empty; set [1.0] for the original speed only")
        if self.encoder_lr == 0 and self.head_lr == 0:
            raise ValueError("finetune.encoder_lr and finetune.head_lr are both 0, so nothing is trained; raise one")
        return self

    @model_validator(mode="after")
    def _check_regularization(self) -> Self:
        if self.unfreeze_every_steps and self.freeze != "none":
            raise ValueError(
                f"finetune.unfreeze_every_steps = {self.unfreeze_every_steps} starts from a frozen encoder and "
                f"finetune.freeze = {self.freeze!r} contradicts it; set only one of them"
            )
        if self.freeze == "encoder" and self.l2_sp:
            raise ValueError(
                'finetune.freeze = "encoder" never changes the weights that finetune.l2_sp regularises; set only one'
            )
        return self


class Config(Section):
    """All settings of a run, validated; the same as in a recipe's TOML file. What is not given has its default.

    >>> import speechxfer as sx
    >>> config = sx.Config(finetune={"steps": 2000, "freeze": "encoder"}, data={"resample": True, "mono": True})
    >>> config.finetune.steps, config.finetune.seed
    (2000, 1)

    Raises:
        pydantic.ValidationError: an unknown setting, a wrong type or range, or settings that contradict each other.
    """

    data: DataConfig = DataConfig()
    text: TextConfig = TextConfig()
    model: ModelConfig = ModelConfig()
    transfer: TransferConfig = TransferConfig()
    finetune: FinetuneConfig = FinetuneConfig()

    @model_validator(mode="after")
    def _check(self) -> Self:
        training = self.finetune
        if training.replay and not training.source_manifests:
            raise ValueError(
                "finetune.replay needs speech that the source was trained on; name its manifests in "
                "finetune.source_manifests"
            )
        if self.transfer.lora_rank:
            check_lora(training)
        if training.freeze == "encoder" and not self.transfer.adapter_dim:
            useless = [name for name in ("distillation", "replay") if getattr(training, name)]
            if useless:
                raise ValueError(
                    f'finetune.freeze = "encoder" leaves nothing for finetune.{useless[0]} to regularise; set only one of them'
                )
        return self


def check_lora(config: FinetuneConfig) -> None:
    """Raise ValueError for settings that train, freeze or regularise encoder weights, which a low-rank update freezes."""
    if config.freeze != "none":
        raise ValueError(
            f"a low-rank update (transfer.lora_rank) freezes the whole encoder, so finetune.freeze = {config.freeze!r} has no "
            'effect; set finetune.freeze = "none"'
        )
    conflicting = [name for name in ("l2_sp", "unfreeze_every_steps") if getattr(config, name)]
    if conflicting:
        raise ValueError(
            f"a low-rank update (transfer.lora_rank) freezes the encoder's own weights, so finetune.{conflicting[0]} has no "
            "effect; set only one of them"
        )
