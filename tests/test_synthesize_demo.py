"""The demo's corpus and the synthesiser under it: sounds that repeat, known phonemes, splits that share nothing."""

import subprocess
import sys
import unicodedata
from pathlib import Path
from random import Random

import numpy as np
import pytest
import soundfile

from data_scripts import demo_sentences, espeak, swahili_sentences, synthesize_demo
from speechxfer.data.manifest import Utterance, read_manifest
from speechxfer.errors import InputError
from speechxfer.text.normalizer import Normalizer

ROOT = Path(__file__).resolve().parents[1]
SPLITS = ("train", "dev", "test")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    synthesize_demo.synthesize("sw", folder, sentences=20)
    return folder


def read_splits(folder: Path) -> dict[str, list[Utterance]]:
    return {split: read_manifest(folder / f"{split}.jsonl") for split in SPLITS}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


# ------------------------------------------------------------------------------------------------------------- espeak
@pytest.mark.parametrize(
    ("text", "voice", "ipa"),
    [  # CMUdict: HH AH0 L OW1 / W ER1 L D; the others from the languages' spelling rules
        ("hello", "en-us", "həlˈoʊ"),
        ("world", "en-us", "wˈɜːld"),
        ("mtoto", "sw", "mtˈoto"),  # stress on the last but one
        ("llan", "cy", "ɬˈan"),  # ll is a voiceless lateral
        ("", "en-us", ""),
    ],
)
def test_phonemes_of_known_words(text: str, voice: str, ipa: str) -> None:
    assert espeak.phonemes(text, voice) == ipa


def test_phonemes_go_on_after_a_comma_and_can_be_parted() -> None:
    whole = espeak.phonemes("hello, hello. hello", "en-us")
    assert whole == "həlˈoʊ həlˈoʊ həlˈoʊ"
    assert espeak.phonemes("hello world", "en-us", separator="_") == "h_ə_l_ˈoʊ w_ˈɜː_l_d"
    with pytest.raises(InputError, match="separator"):
        espeak.phonemes("hello", "en-us", separator="ab")


def test_phonemes_hold_no_marks_of_a_change_of_language() -> None:
    assert "(" not in espeak.phonemes("Привет", "sw")
    assert espeak.phonemes("Привет", "sw")


def test_same_arguments_same_samples_whatever_was_said_before() -> None:
    first, rate_hz = espeak.speak("watoto wanasoma", "sw+f3", 160, 45)  # f3 has breath noise
    for voice in ("en-us", "sw+m1", "cy+klatt"):
        espeak.speak("one two three", voice)
        espeak.phonemes("one two three", voice)
    again, _ = espeak.speak("watoto wanasoma", "sw+f3", 160, 45)
    assert rate_hz == 22050
    assert first.dtype == np.int16
    assert first.ndim == 1
    np.testing.assert_array_equal(first, again)


def test_twice_the_rate_is_about_half_as_long() -> None:
    text = "watoto wawili wanasoma vitabu vitatu nyumbani"
    slow, fast = (len(espeak.speak(text, "sw", rate_wpm)[0]) for rate_wpm in (120, 240))
    assert slow / fast == pytest.approx(2.0, rel=0.2)


def test_pitch_raises_the_fundamental() -> None:
    def fundamental_hz(pitch: int) -> float:
        samples, rate_hz = espeak.speak("aaaa", "en", 100, pitch)
        middle = samples[len(samples) // 3 :][:4096].astype(float)
        correlation = np.correlate(middle, middle, "full")[len(middle) - 1 :]
        shortest = rate_hz // 250
        return rate_hz / (shortest + int(np.argmax(correlation[shortest : rate_hz // 50])))

    assert fundamental_hz(90) > 1.3 * fundamental_hz(10)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("hello", "xx"), "no language 'xx'"),
        (("hello", "sw+nobody"), "no variant 'nobody'"),
        (("hello", "sw", 20), "rate_wpm=20"),
        (("hello", "sw", 160, 101), "pitch=101"),
        (("a\0b", "sw"), "NUL"),
        (("", "sw"), "said nothing"),
    ],
)
def test_bad_requests_name_what_was_wrong(arguments: tuple[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        espeak.speak(*arguments)


def test_every_listed_language_and_variant_is_taken() -> None:
    assert {"sw", "cy", "en-us", "en", "nb", "no"} <= set(espeak.voices())
    assert espeak.voices()["sw"] == "Swahili"
    assert len(espeak.voices()) > 100
    silent = [language for language in espeak.voices() if not espeak.phonemes("a", language)]
    assert not silent
    assert "fo" not in espeak.voices()  # listed by espeak-ng 1.52, but its dictionary is not in the wheel
    assert {"m1", "f5", "linda", "klatt"} <= set(espeak.variants())


def test_data_under_a_long_path_is_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / ("d" * 100) / ("e" * 100)  # espeak-ng alone fails beyond 160 bytes
    deep.mkdir(parents=True)
    link = deep / "espeak-ng-data"
    link.symlink_to(espeak._loader().get_data_path(), target_is_directory=True)
    monkeypatch.setattr(espeak._loader(), "get_data_path", lambda: str(link))
    espeak._data_path.cache_clear()
    try:
        assert espeak.phonemes("hello", "en-us") == "həlˈoʊ"
    finally:
        espeak._data_path.cache_clear()


def test_missing_data_and_missing_package_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    espeak.voices()
    with monkeypatch.context() as patch:
        patch.setattr(espeak, "_data_path", lambda: bytes(tmp_path))
        with pytest.raises(InputError, match="does not start"):
            espeak.phonemes("hello", "en-us")
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "espeakng_loader", None)
        with pytest.raises(InputError, match="pip install espeakng-loader"):
            espeak.phonemes("hello", "en-us")
    assert espeak.phonemes("hello", "en-us") == "həlˈoʊ"


# ---------------------------------------------------------------------------------------------------------- sentences
def test_swahili_numbers_as_counted() -> None:
    expected = {
        1: "moja", 10: "kumi", 12: "kumi na mbili", 45: "arobaini na tano", 100: "mia moja",
        125: "mia moja ishirini na tano", 1975: "elfu moja mia tisa sabini na tano", 2500: "elfu mbili na mia tano",
    }  # fmt: skip
    assert {value: demo_sentences.number(value, "sw") for value in expected} == expected


@pytest.mark.parametrize(
    ("noun", "noun_class", "value", "numeral"),
    [
        ("watoto", 2, 2, "wawili"), ("watoto", 2, 6, "sita"), ("miti", 4, 4, "minne"), ("magari", 6, 3, "matatu"),
        ("vitabu", 8, 3, "vitatu"), ("vitabu", 8, 8, "vinane"), ("vitabu", 8, 11, "kumi na kimoja"),
        ("vitabu", 8, 25, "ishirini na vitano"), ("nyumba", 10, 2, "mbili"), ("nyumba", 10, 11, "kumi na moja"),
        ("magari", 6, 11, "kumi na moja"), ("watu", 2, 10, "kumi"),
    ],
)  # fmt: skip
def test_swahili_numerals_agree_with_their_noun(noun: str, noun_class: int, value: int, numeral: str) -> None:
    assert swahili_sentences.swahili_numeral(value, noun_class) == numeral, noun


def test_swahili_adjectives_agree_with_their_noun() -> None:
    cases = {("kubwa", 8): "vikubwa", ("pya", 5): "jipya", ("zuri", 5): "zuri", ("dogo", 9): "ndogo"}
    assert {case: swahili_sentences.swahili_adjective(*case) for case in cases} == cases


@pytest.mark.parametrize(
    ("language", "letters"), [("sw", "abcdefghijklmnoprstuvwyz'"), ("cy", "abcdefghilmnoprstuwyâêîôûŵŷ'")]
)
def test_grammars_keep_to_their_alphabet_and_make_many_sentences(language: str, letters: str) -> None:
    random = Random(3)
    sentences = {demo_sentences.sentence(language, random) for _ in range(3000)}
    assert len(sentences) > 1500
    assert set("".join(sentences)) <= {*letters, " "}


@pytest.mark.parametrize("language", demo_sentences.languages())
def test_every_language_can_be_written_normalised_and_spoken(language: str) -> None:
    random = Random(5)
    texts = [demo_sentences.sentence(language, random) for _ in range(20)]
    assert len(set(texts)) >= 19
    for text in texts:
        assert Normalizer()(text) == text
        assert all(unicodedata.category(character)[0] in "LM" or character in " '-" for character in text), text
    assert language in espeak.voices()
    assert len(espeak.phonemes(texts[0], language)) > 0.4 * len(texts[0])


def test_unknown_language_lists_those_known() -> None:
    with pytest.raises(InputError, match=r"'tlh'.*cy.*sw"):
        demo_sentences.sentence("tlh", Random(0))


def test_a_grammar_that_runs_dry_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(demo_sentences.GRAMMARS, "sw", lambda random: random.choice(("moja", "mbili", "tatu")))
    with pytest.raises(InputError, match="ran dry after 3"):
        synthesize_demo.synthesize("sw", tmp_path, sentences=10)
    assert not list(tmp_path.iterdir())


# ------------------------------------------------------------------------------------------------------------- corpus
def test_splits_have_their_sizes_and_share_neither_sentence_nor_voice(corpus: Path) -> None:
    splits = read_splits(corpus)
    assert {split: len(utterances) for split, utterances in splits.items()} == {"train": 20, "dev": 3, "test": 6}
    texts = [utterance.text for split in SPLITS for utterance in splits[split]]
    assert len(set(texts)) == len(texts) == 29
    speakers = {split: {utterance.speaker for utterance in splits[split]} for split in SPLITS}
    assert not speakers["train"] & speakers["dev"]
    assert not speakers["train"] & speakers["test"]
    assert not speakers["dev"] & speakers["test"]
    assert len(speakers["train"]) == 8
    known = set("".join(utterance.text for utterance in splits["train"]))
    assert all(set(utterance.text) <= known for split in ("dev", "test") for utterance in splits[split])


@pytest.mark.parametrize("seed", range(5))
def test_dev_and_test_hold_no_character_that_a_tiny_train_lacks(seed: int) -> None:
    texts = synthesize_demo._split_sentences("cy", 10, seed)
    assert [len(texts[split]) for split in SPLITS] == [10, 2, 3]
    assert set("".join(texts["dev"] + texts["test"])) <= set("".join(texts["train"]))


def test_every_speaker_is_a_variant_of_espeak() -> None:
    variants = [speaker.variant for speakers in synthesize_demo.SPEAKERS.values() for speaker in speakers]
    assert set(variants) <= set(espeak.variants())
    assert len(set(variants)) == len(variants)


def test_audio_is_as_the_manifest_says(corpus: Path) -> None:
    for utterances in read_splits(corpus).values():
        for utterance in utterances:
            info = soundfile.info(utterance.audio_filepath)
            assert (info.samplerate, info.channels, info.format, info.subtype) == (16000, 1, "FLAC", "PCM_16")
            assert round(utterance.duration * 16000) == info.frames
            assert 1.0 < utterance.duration < 12.0
            assert utterance.lang == "sw"


def test_noise_lies_15_to_30_db_below_the_speech(corpus: Path) -> None:
    levels = []
    for utterance in read_splits(corpus)["train"]:
        samples, _ = soundfile.read(utterance.audio_filepath)
        assert 0.25 < np.abs(samples).max() < 0.99
        noise, speech = samples[:1600], samples[4800:-4800]  # the pause before is 0.1 s at least, 0.3 s at most
        levels.append(20 * np.log10(np.sqrt(np.mean(speech**2) / np.mean(noise**2))))
    assert min(levels) > 14.0
    assert max(levels) < 32.0
    assert max(levels) - min(levels) > 5.0


def test_same_seed_same_bytes_and_another_seed_another_corpus(corpus: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "data_scripts.synthesize_demo", "sw", str(tmp_path / "again"), "--sentences", "20"]
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    assert contents(tmp_path / "again") == contents(corpus)
    assert "x real time" in result.stdout
    assert "next: speechxfer check" in result.stdout.splitlines()[-1]
    synthesize_demo.synthesize("sw", tmp_path / "other", sentences=20, seed=1)
    texts = {u.text for u in read_splits(tmp_path / "other")["train"]} & {u.text for u in read_splits(corpus)["train"]}
    assert len(texts) < 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["en", "out"], "choose one of: az, bn"),
        (["sw", "out", "--sentences", "3"], "sentences=3"),
        (["sw", "out", "--seed", "-1"], "seed=-1"),
        (["sw", "train.jsonl"], "train.jsonl"),
    ],
)
def test_bad_input_is_one_message_and_exit_2(
    arguments: list[str],
    message: str,
    corpus: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(corpus)
    with pytest.raises(SystemExit) as stopped:
        synthesize_demo.main(arguments)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err
