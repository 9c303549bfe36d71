"""The verb `info`: a model's card as text."""

from speechxfer.checkpoints import load_model, read_card, resolve_source
from speechxfer.scoring import Calibration
from speechxfer.workflows.decoders import DecodingOptions
from speechxfer.workflows.training_runs import millions_of_parameters


def describe(name: str) -> str:
    """The card of a model as readable text; of a shipped model also where the licences of its training data are."""
    source = resolve_source(name)
    card, model = read_card(source), load_model(source)
    tables = model.vocabulary.letters
    notice = f"; each corpus: {source.path.parent / 'NOTICE.md'}" if source.is_shipped else ""
    encoder = model.architecture
    lines = [
        f"{card.name or name}: {source.path}",
        f"language: {card.language or 'not stated'}; parent: {card.parent or 'none'}",
        f"licence{' of the weights' if notice else ''}: {card.licence or 'not stated'}{notice}",
        f"encoder: {encoder.encoder} {encoder.size}, subsampling {encoder.subsampling}, "
        f"{millions_of_parameters(model):.2f} M parameters; task {model.task}",
        f"features: {model.spec.name} version {model.spec.version}, {model.spec.dim} values every "
        f"{1000 / model.spec.frames_per_s:g} ms at {model.spec.sample_rate_hz} Hz",
        f"symbols ({len(model.vocabulary.symbols)}, {model.vocabulary.kind}): {' '.join(model.vocabulary.symbols)[:400]}",
        f"confidence of words: {_describe_calibration(model.calibration)}",
        f"decoding: {_describe_decoding(name)}",
        *([f"letter tables of {len(tables)} languages: {' '.join(sorted(tables))}"] if tables else []),
    ]
    for key, value in card.details.items():
        if key != "config":
            lines += [f"{key}: {one}" for one in (value if isinstance(value, list) else [value])]
    return "\n".join(lines)


def _describe_decoding(name: str) -> str:
    """The language models of the model's own transcripts, if it has any."""
    options = DecodingOptions().for_model(name)
    if not options.language_models:
        return "greedy, if no language model is given"
    models = " and ".join(path.name for path in options.language_models)
    return f"with the language models of its training transcripts ({models}); --no-lm: greedy"


def _describe_calibration(calibration: Calibration | None) -> str:
    if calibration is None:
        return "raw, not calibrated"
    parameters = f"slope {calibration.slope:.3g}, intercept {calibration.intercept:.3g}"
    return f"calibrated on {calibration.words:,} words of dev ({parameters})"
