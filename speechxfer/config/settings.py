"""Settings: a TOML file and ``a.b=c`` overrides become one validated, frozen, documented `Config`.

What it is: every knob of training with its default, unit, range and meaning, and the checks between knobs. What it is
not: the place where a setting takes effect. Nothing here imports torch. Source of the file format: TOML 1.0 (toml.io).

Save a run's settings with ``config.model_dump(mode="json")``; `parse_config` reads that dump back.
"""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator


def _tuple_from_list(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


class Section(BaseModel):
    """What all sections share: immutable, no unknown keys, no silent change of type, no infinities."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class DataConfig(Section):
    """[data]: how recordings are read."""

    resample: bool = Field(default=False, description="resample audio whose sampling rate differs from the model's")
    mono: bool = Field(default=False, description="mix the channels of stereo audio into one")
    cache_dir: str = Field(
        default="",
        description="folder where computed features are kept, relative to where the command runs; "
        "empty: `.features` beside the run's folder",
    )
    max_duration_s: float = Field(default=30.0, gt=0, description="longest utterance that is trained on, in seconds")
    unknown_symbols: Literal["error", "skip"] = Field(
        default="error",
        description="what to do with a symbol the vocabulary lacks: stop, or count it, show it and go on",
    )
    repeats: list[Annotated[int, Field(ge=1)]] = Field(
        default=[],
        description="how often a pass hears each training manifest, in the order of --train, so that a small one is not "
        "drowned by a large one; empty: each once",
    )


class TextConfig(Section):
    """[text]: what is predicted, and how transcripts are normalised on both sides of scoring."""

    task: Literal["ctc", "classify"] = Field(
        default="ctc", description="transcribe (ctc) or one word per utterance (classify)"
    )
    vocabulary: Literal["characters", "words", "bpe", "phones"] = Field(
        default="characters", description="what a symbol is"
    )
    form: Literal["NFC", "NFD"] = Field(
        default="NFC", description="Unicode form; NFD makes tone marks and accents symbols of their own"
    )
    lowercase: bool = Field(default=True, description="fold letters to lower case")
    punctuation: Literal["strip", "keep"] = Field(default="strip", description="drop or keep punctuation between words")
    bpe_size: int = Field(default=500, ge=8, description="number of symbols of a bpe vocabulary")
    letters: str = Field(
        default="",
        description="path of a JSON file (language: letter: phone) that a vocabulary of phones keeps, so that a new "
        "language's letters can start from phones; relative to where the command runs; empty: none",
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.task == "classify" and self.vocabulary != "words":
            raise ValueError(
                f'text.task = "classify" names one word per utterance but text.vocabulary = "{self.vocabulary}"; '
                'set text.vocabulary = "words"'
            )
        return self


class ModelConfig(Section):
    """[model]: the network that `train` starts from random weights; `adapt` takes the source's instead."""

    encoder: Literal["conformer", "cnn", "dnn"] = Field(default="conformer", description="kind of encoder")
    size: Literal["tiny", "small", "base"] = Field(default="small", description="size of the encoder")
    subsampling: Literal[1, 4, 8] = Field(
        default=4, description="feature frames (10 ms each) per encoder frame: 4 or 8 for conformer and cnn, 1 for dnn"
    )
    features: str = Field(default="kaldi-mvn-78db-1.5s", min_length=1, description="name of the feature preset")
    dropout: float = Field(default=0.1, ge=0, lt=1, description="probability that an activation is dropped in training")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.encoder == "dnn") != (self.subsampling == 1):
            allowed = "1" if self.encoder == "dnn" else "4 or 8"
            raise ValueError(
                f'model.encoder = "{self.encoder}" cannot have model.subsampling = {self.subsampling}; '
                f"set model.subsampling to {allowed}"
            )
        return self


DEFAULT_L2_SP = 0.5  # costs the target nothing, and less of the source is forgotten: recipes/ablations


class TransferConfig(Section):
    """[transfer]: how the source model becomes a model of the target."""

    head: Literal["symbols", "random"] = Field(
        default="symbols",
        description="how the new head is initialised: each symbol from the source's row of the same or nearest symbol, or "
        "all rows at random",
    )
    symbol_map: str = Field(
        default="",
        description="path of a TSV of rows `target symbol TAB source symbol`, relative to where the command runs; "
        "empty: none",
    )
    freeze: Literal["none", "encoder"] | Annotated[int, Field(ge=0)] = Field(
        default="none", description="what is not updated: nothing, the whole encoder, or the lowest N encoder layers"
    )
    freeze_steps: int = Field(default=-1, ge=-1, description="for how many steps it stays frozen; -1: always")
    unfreeze_every_steps: int = Field(
        default=0,
        ge=0,
        description="gradual unfreezing: first the head alone learns, then one more encoder layer, from the top down, every "
        "so many steps; 0: no",
    )
    layer_decay: float = Field(
        default=1.0, gt=0, le=1, description="learning rate of each encoder layer over that of the one above it"
    )
    batch_norm: Literal["train", "frozen"] = Field(
        default="train",
        description="batch norms of the encoder: follow the target's statistics, or keep the source's",
    )
    lora_rank: int = Field(
        default=0,
        ge=0,
        description="learn a low-rank update of this rank in place of the encoder's weights (extra `lora`); 0: no",
    )
    lora_alpha: float = Field(default=16.0, gt=0, description="the low-rank update is multiplied by alpha / rank")
    adapter_dim: int = Field(
        default=0, ge=0, description="width of a bottleneck adapter added after each encoder layer; 0: none"
    )
    extra_layers: int = Field(default=0, ge=0, description="Conformer layers added between encoder and head")
    l2_sp: float = Field(
        default=-1.0,
        ge=-1,
        description="lambda of L2-SP: how strongly encoder weights are drawn to the source's; -1: 0.5 where they move and "
        "nothing else holds on to the source, else 0",
    )
    ewc: float = Field(
        default=0.0,
        ge=0,
        description="lambda of elastic weight consolidation: as l2_sp, each weight as strongly as the source's data need it "
        "(1 on average); needs source_manifests",
    )
    distillation: float = Field(
        default=0.0, ge=0, description="lambda of the distance to what the source makes of the same speech; 0: none"
    )
    distilled: Literal["logits", "features"] = Field(
        default="logits", description="what is compared there: the source head's distributions, or the encoded frames"
    )
    replay: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="share of each step's speech that is the source's own, under the source's head; needs source_manifests",
    )
    source_manifests: list[str] = Field(
        default=[], description="paths of manifests of the source's own training data, for ewc and replay"
    )

    @property
    def encoder_frozen(self) -> bool:
        """Whether the source's own layers are never to move."""
        return self.freeze == "encoder" and self.freeze_steps < 0

    @property
    def l2_sp_strength(self) -> float:
        """lambda of L2-SP: as set, or what is usual."""
        if self.l2_sp >= 0:
            return self.l2_sp
        needless = self.encoder_frozen or self.lora_rank or self.ewc or self.distillation or self.replay
        return 0.0 if needless else DEFAULT_L2_SP

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.head != "symbols" and self.symbol_map:
            raise ValueError(
                f'transfer.head = "{self.head}" would ignore transfer.symbol_map; '
                'set transfer.head = "symbols" or transfer.symbol_map = ""'
            )
        if self.unfreeze_every_steps and self.freeze != "none":
            raise ValueError(
                f"transfer.unfreeze_every_steps = {self.unfreeze_every_steps} starts from a frozen encoder by itself, and "
                f"transfer.freeze = {self.freeze!r} says otherwise; set only one of them"
            )
        if self.freeze_steps >= 0 and self.freeze == "none":
            raise ValueError(
                f"transfer.freeze_steps = {self.freeze_steps} says for how long something rests, and transfer.freeze says that "
                'nothing does; set transfer.freeze = "encoder" or a number of layers'
            )
        if self.lora_rank and self.freeze != "none":
            raise ValueError(
                f"transfer.lora_rank = {self.lora_rank} lets the whole encoder rest, so transfer.freeze = {self.freeze!r} "
                'would say nothing; set transfer.freeze = "none"'
            )
        if self.encoder_frozen and (self.l2_sp_strength or self.ewc):
            raise ValueError(
                'transfer.freeze = "encoder" never moves what transfer.l2_sp and transfer.ewc would draw back; set only one'
            )
        resting = self.encoder_frozen and not self.adapter_dim
        useless = [name for name in ("distillation", "replay") if resting and getattr(self, name)]
        if useless:
            raise ValueError(
                f'transfer.freeze = "encoder" leaves nothing that transfer.{useless[0]} could hold back; set only one of them'
            )
        own_weights_move = [name for name in ("l2_sp", "ewc", "unfreeze_every_steps") if getattr(self, name) > 0]
        if self.lora_rank and own_weights_move:
            raise ValueError(
                f"transfer.lora_rank = {self.lora_rank} lets the encoder's own weights rest, so "
                f"transfer.{own_weights_move[0]} would do nothing; set only one of them"
            )
        asking = [name for name in ("ewc", "replay") if getattr(self, name)]
        if asking and not self.source_manifests:
            raise ValueError(
                f"transfer.{asking[0]} needs speech that the source was trained on; name its manifests in "
                "transfer.source_manifests"
            )
        return self


SpeedFactor = Annotated[float, Field(ge=0.5, le=2.0)]


class FinetuneConfig(Section):
    """[finetune]: the training loop, for `train` and `adapt` alike."""

    seed: int = Field(default=1, ge=0, lt=2**32, description="seed of every random generator")
    steps: int = Field(
        default=-1,
        ge=-1,
        description="number of updates; -1: from the amount of training speech (1,800 of 20 s for ten minutes, 4,409 an hour)",
    )
    batch_s: float = Field(default=20.0, gt=0, description="seconds of audio per step and process")
    encoder_lr: float = Field(default=5e-4, ge=0, description="highest learning rate of the encoder")
    head_lr: float = Field(default=2e-3, ge=0, description="highest learning rate of the head")
    warmup_steps: int = Field(default=-1, ge=-1, description="steps until the highest learning rate; -1: 10 % of steps")
    final_lr_ratio: float = Field(default=0.01, ge=0, le=1, description="last learning rate over the highest")
    weight_decay: float = Field(default=0.01, ge=0, description="weight of the decay of parameters")
    clip_norm: float = Field(default=5.0, gt=0, description="gradients are scaled down to this norm")
    evaluate_every_steps: int = Field(
        default=-1, ge=-1, description="steps between evaluations on dev; -1: a twentieth of steps, at least 1"
    )
    patience: int = Field(
        default=0, ge=0, description="evaluations without a better dev score before stopping; 0: never"
    )
    average_best: int = Field(
        default=5, ge=1, description="of how many of the best evaluations the weights are averaged"
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        default="auto", description="number format of the arithmetic; auto: bf16 on a device that gains by it"
    )
    gradient_checkpointing: bool = Field(
        default=False,
        description="compute each layer's values twice in place of keeping them: less memory for large borrowed encoders",
    )
    speed_factors: Annotated[tuple[SpeedFactor, ...], BeforeValidator(_tuple_from_list)] = Field(
        default=(0.9, 1.0, 1.1),
        description="speeds from which each utterance's is drawn; [1.0]: unchanged",
    )
    tempo_change: float = Field(
        default=0.0,
        ge=0,
        le=0.5,
        description="largest share by which an utterance is played faster or slower at the same pitch, newly drawn each time",
    )
    distortion: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="share of the utterances that are heard, newly drawn each time, through other rooms, microphones, "
        "lines and noise",
    )
    frequency_masks: int = Field(default=1, ge=0, description="SpecAugment: masks in frequency per utterance")
    frequency_mask_mels: int = Field(
        default=10, ge=0, le=80, description="SpecAugment: widest mask in frequency, in mel bins"
    )
    time_masks: int = Field(default=2, ge=0, description="SpecAugment: masks in time per utterance")
    time_mask_ratio: float = Field(
        default=0.05, ge=0, le=1, description="SpecAugment: longest mask in time, as a share of the utterance"
    )
    augment_warmup_steps: int = Field(default=0, ge=0, description="steps before augmentation begins")
    label_smoothing: float = Field(default=0.0, ge=0, lt=1, description="share of the target spread over all symbols")
    intermediate_ctc: float = Field(
        default=-1.0,
        ge=-1,
        lt=1,
        description="share of the loss that comes from the middle encoder layer, through the same head; -1: 0.3 for ctc on an "
        "encoder whose layers are equally wide, else none",
    )
    optimizer: Literal["adamw", "sgd"] = Field(default="adamw", description="rule of the update")
    select_by: Literal["wer", "cer"] = Field(
        default="wer", description="dev score by which the best evaluations are chosen"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.steps == 0:
            raise ValueError("finetune.steps = 0 has no meaning; set 1 or more, or -1 for as many as the speech needs")
        if 0 < self.steps <= self.warmup_steps:
            raise ValueError(
                f"finetune.warmup_steps = {self.warmup_steps} leaves none of finetune.steps = {self.steps}; "
                "set fewer, or -1 for 10 %"
            )
        if self.evaluate_every_steps == 0:
            raise ValueError("finetune.evaluate_every_steps = 0 has no meaning; set 1 or more, or -1 for steps / 20")
        if 0 < self.steps < self.evaluate_every_steps:
            raise ValueError(
                f"finetune.evaluate_every_steps = {self.evaluate_every_steps} is more than "
                f"finetune.steps = {self.steps}; set fewer, or -1 for steps / 20"
            )
        if not self.speed_factors:
            raise ValueError("finetune.speed_factors is empty; set [1.0] for recordings as they are")
        if self.encoder_lr == 0 and self.head_lr == 0:
            raise ValueError("finetune.encoder_lr and finetune.head_lr are both 0, so nothing is learned; raise one")
        return self


class Config(Section):
    """All settings of a run."""

    data: DataConfig = Field(default=DataConfig(), description="how recordings are read")
    text: TextConfig = Field(default=TextConfig(), description="what is predicted, and how text is normalised")
    model: ModelConfig = Field(default=ModelConfig(), description="the network, when it starts from random weights")
    transfer: TransferConfig = Field(default=TransferConfig(), description="how the source becomes the target")
    finetune: FinetuneConfig = Field(default=FinetuneConfig(), description="the training loop")
