"""Phone errors of a model by language and group of speakers, from reports of ``speechxfer evaluate``, into phone_results.json.

    python -m recipes.multilingual.by_language exp/multilingual-small-2 exp/multilingual-small-2/phones \
        --manifests data/phones --out phone_results.json

The report ``CORPUS/SPLIT/report.json`` is of the manifest ``CORPUS/SPLIT.jsonl``. Groups of speakers refer to the real speech in
the manifests ``train.jsonl``: see `recipes.phone_errors.GROUPS`.

PER: substitutions, deletions and insertions over the phones of the reference, in %. PFER: panphon's feature edit distance
(Mortensen et al., 2016) over the phones of the reference, in %: a feature + in place of - costs 1/24, + or - in place of 0
1/48; a missing or added phone costs 1/24 for each feature that is + or -, and 1/48 for each that is 0. Intervals (95 %) are a
bootstrap over speakers where there are at least ten, else over utterances.
"""

import argparse
import datetime
import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import langcodes
import numpy as np
import numpy.typing as npt
import panphon.distance

from recipes.phone_errors import ALL, GROUPS, LanguageErrors, Measurement, Rate, add_measurement
from speechxfer.checkpoints import resolve_source, weights_hash
from speechxfer.data import Utterance, read_manifest
from speechxfer.errors import InputError
from speechxfer.runtime import command_line, commit, hardware, log_info
from speechxfer.scoring import read_report
from speechxfer.text import AUTO_PHONES

RESAMPLES = 1000
MIN_SPEAKERS = 10  # of a bootstrap over speakers (Cameron, Gelbach and Miller, 2008)
TRAIN = "train.jsonl"
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class PhoneErrors:
    """One utterance: whose and where, phones of the reference, errors, and feature edit distance."""

    group: str
    language: str
    manifest: str
    speaker: str
    phones: int
    errors: int
    features: float


def feature_distance(reference: str, hypothesis: str) -> float:
    """panphon's feature edit distance of phones that are separated by spaces; costs of phones are computed once.

    Raises:
        InputError: panphon does not read a phone as one segment; it would ignore or divide it.
    """
    phones = [""], hypothesis.split(), reference.split()
    return float(_panphon().min_edit_distance(_missing, _missing, _replaced, *phones))


@cache
def _missing(phone: str) -> float:
    return float(_panphon().unweighted_deletion_cost(_vector(phone)))


@cache
def _replaced(phone: str, other: str) -> float:
    return float(_panphon().unweighted_substitution_cost(_vector(phone), _vector(other)))


@cache
def _vector(phone: str) -> list[int]:
    vectors = _panphon().fm.word_to_vector_list(phone, numeric=True)
    if len(vectors) != 1:
        raise InputError(f"panphon has no features of {phone!r}; write it as phones of the IPA, spaces between")
    return list(vectors[0])


@cache
def _panphon() -> panphon.distance.Distance:
    return panphon.distance.Distance()


def measure(reports: Path, manifests: Path) -> list[LanguageErrors]:
    """Errors by group and language from all reports below a folder.

    Raises:
        InputError: no report; one of another manifest; an utterance that is also trained on, or without a speaker or language.
    """
    train = [u for path in sorted(manifests.rglob(TRAIN)) for u in read_manifest(path)]
    found: dict[tuple[str, str], list[PhoneErrors]] = defaultdict(list)
    for path in sorted(reports.rglob("report.json")):
        for utterance in _read(path, manifests, str(path.parent.relative_to(reports)), train):
            found[utterance.group, utterance.language].append(utterance)
    if not found:
        raise InputError(f"{reports}: has no report.json; run `speechxfer evaluate` first")
    rows = []
    for group in GROUPS:
        languages = {language: own for (other, language), own in found.items() if other == group}
        named = sorted((_language_name(code), code) for code in languages)
        rows += [_summary(group, code, name, languages[code]) for name, code in named]
        if len(languages) > 1:
            rows.append(_summary(group, ALL, ALL, [u for own in languages.values() for u in own]))
    return rows


def find_decoder(reports: Path) -> str:
    """What decoded the utterances of all reports below a folder; InputError if it differs between them."""
    found: dict[str, Path] = {}
    for path in sorted(reports.rglob("report.json")):
        report = read_report(path)
        listed = f"phones {AUTO_PHONES}" if report.phones == (AUTO_PHONES,) else "phones of the language"
        found.setdefault(f"{report.decoder}, {listed}" if report.phones else report.decoder, path)
    if len(found) > 1:
        (first, one), (second, other) = list(found.items())[:2]
        raise InputError(f"{other}: decoder {second!r}, but {one} has {first!r}; evaluate all with the same options")
    return next(iter(found), "")


def _read(report: Path, manifests: Path, name: str, train: Sequence[Utterance]) -> list[PhoneErrors]:
    manifest = manifests / f"{name}.jsonl"
    utterances = {u.id: u for u in read_manifest(manifest)}
    scored = read_report(report).utterances
    if {row.id: row.reference for row in scored} != {id_: u.text for id_, u in utterances.items()}:
        raise InputError(f"{report}: is not of {manifest} as it is now; evaluate it again")
    nameless = next((u.id for u in utterances.values() if not (u.speaker and u.lang)), None)
    if nameless:
        raise InputError(f"{manifest}: {nameless} has no speaker or no language; name both")
    shared = sorted(utterances.keys() & {u.id for u in train})
    if shared:
        raise InputError(f"{manifest}: {shared[0]} is also trained on; evaluate other utterances")
    speakers, languages = {u.speaker for u in train}, {_language(u.lang) for u in train}
    rows = []
    for row in scored:
        own = utterances[row.id]
        if not row.words.total:
            raise InputError(f"{manifest}: {row.id} has no phone, so it has no error rate; remove it")
        if own.speaker in speakers:
            group = "trained speaker"
        elif _language(own.lang) in languages:
            group = "unseen speaker"
        else:
            group = f"unseen language, {'development' if manifest.stem == 'development' else 'test'}"
        features = feature_distance(row.normalized_reference, row.normalized_hypothesis)
        rows.append(
            PhoneErrors(group, _language(own.lang), name, own.speaker, row.words.total, row.words.errors, features)
        )
    return rows


def _language(code: str) -> str:
    """The code without region and variant; InputError if it is no code."""
    language = langcodes.Language.get(code).language
    if not language:
        raise InputError(f"{code!r} is no language code; expected one of BCP 47, such as pt-BR")
    return language


def _language_name(code: str) -> str:
    try:
        return langcodes.Language.get(code).language_name()
    except ImportError as error:
        raise InputError("names of languages need the package language_data: pip install 'langcodes[data]'") from error


def _summary(group: str, language: str, name: str, own: Sequence[PhoneErrors]) -> LanguageErrors:
    speakers = {u.speaker for u in own}
    by_speaker = len(speakers) >= MIN_SPEAKERS
    units = [u.speaker if by_speaker else number for number, u in enumerate(own)]
    phones, errors, features = (
        np.array([getattr(u, key) for u in own], float) for key in ("phones", "errors", "features")
    )
    ones = np.ones(len(own))
    return LanguageErrors(
        group=group,
        language=language,
        name=name,
        sets=sorted({u.manifest for u in own}),
        speakers=len(speakers),
        utterances=len(own),
        phones=int(phones.sum()),
        per=rate(errors, phones, units),
        pfer=rate(features, phones, units),
        mean_per=rate(errors / phones, ones, units),
        mean_pfer=rate(features / phones, ones, units),
        resampling="speakers" if by_speaker else "utterances",
    )


def rate(errors: Floats, lengths: Floats, units: Iterable[object]) -> Rate:
    """Sum of errors over sum of lengths, `[utterances]` each, in percent, with an interval that resamples `units`."""
    _, numbers = np.unique([str(unit) for unit in units], return_inverse=True)
    table = np.stack([np.bincount(numbers, weights=values) for values in (errors, lengths)], axis=1)
    picks = np.random.default_rng(0).integers(len(table), size=(RESAMPLES, len(table)))
    sums = np.array([table[pick].sum(axis=0) for pick in picks])
    low, high = np.quantile(sums[:, 0] / sums[:, 1], (0.025, 0.975))
    return Rate(*(100 * float(value) for value in (errors.sum() / lengths.sum(), low, high)))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="the model that has been evaluated, as for `speechxfer evaluate`")
    parser.add_argument("reports", type=Path, help="folder of its reports")
    parser.add_argument("--manifests", type=Path, required=True, help="folder of the manifests")
    parser.add_argument(
        "--out", type=Path, required=True, help="JSON file; results of other models and decoders in it are kept"
    )
    options = parser.parse_args()
    try:
        source = resolve_source(options.model)
        rows = measure(options.reports, options.manifests)
        name, today = Path(source.name).name, datetime.date.today().isoformat()
        provenance = {"command": command_line(), "commit": commit(), "date": today, "hardware": hardware()}
        decoder = find_decoder(options.reports)
        add_measurement(options.out, Measurement(name, weights_hash(source), rows=rows, decoder=decoder, **provenance))
    except (InputError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    log_info(f"wrote {options.out}")


if __name__ == "__main__":
    main()
