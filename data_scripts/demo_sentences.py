"""Sentences for the demo: small grammars for Swahili (``swahili_sentences.py``) and Welsh, number phrases for other languages.

`sentence` generates one random sentence, lower case and without punctuation: simple and grammatical, often without much
sense. Word lists and grammars are written for this file. Numbers in words come from the package num2words
(https://github.com/savoirfairelinux/num2words), except those of Swahili, which it lacks.

The Welsh grammar: the verb comes first; a counted noun is plural after 'o', with soft mutation; after "mae hi'n" the hour has
soft mutation, after "wedi" it has none.
"""

import functools
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from data_scripts.swahili_sentences import swahili_number, swahili_sentence
from speechxfer.errors import InputError

NUM2WORDS_CODES = {"kk": "kz", "nb": "no"}  # where num2words has a name of its own for the language


def languages() -> tuple[str, ...]:
    """Codes of the languages that `sentence` knows, espeak-ng's names for them."""
    return tuple(sorted((*GRAMMARS, *PHRASES, *NUMBERS_ONLY)))


def sentence(language: str, random: Random) -> str:
    """One sentence in `language`: lower case, single spaces, no punctuation but apostrophes and hyphens inside words.

    Raises:
        InputError: a language that is not in `languages`, or the package num2words is needed and missing.
    """
    if language in GRAMMARS:
        return GRAMMARS[language](random)
    if language in PHRASES:
        return _phrase(language, PHRASES[language], random)
    if language in NUMBERS_ONLY:
        return " ".join(number(random.randrange(2, 1000), language) for _ in range(3))
    raise InputError(f"language {language!r}: no sentences for it; expected one of: {', '.join(languages())}")


@functools.cache
def number(value: int, language: str) -> str:
    """A whole number in words.

    Raises:
        InputError: the package num2words is missing.
    """
    if language == "sw":
        return swahili_number(value)
    try:
        num2words = importlib.import_module("num2words")
    except ImportError as error:
        raise InputError(
            f"num2words is not installed; {language!r} needs it for numbers; run: pip install num2words"
        ) from error
    words: str = num2words.num2words(value, lang=NUM2WORDS_CODES.get(language, language))
    return words


# ------------------------------------------------------------------------------------------------------------- Welsh
CY_SUBJECTS = (  # with the article, and mutated where feminine
    "y plant", "y dyn", "y ferch", "y bachgen", "y fam", "y tad", "yr athro", "y meddyg", "y ffermwr", "y bobl",
    "y merched", "y bechgyn", "y teulu", "yr heddwas", "y gweithiwr", "siân", "dafydd", "gwen", "rhys", "megan", "ifan",
)  # fmt: skip
CY_THINGS = {  # masculine nouns; singular: (plural, plural with soft mutation)
    "llyfr": ("llyfrau", "lyfrau"), "llythyr": ("llythyrau", "lythyrau"), "papur": ("papurau", "bapurau"),
    "afal": ("afalau", "afalau"), "wy": ("wyau", "wyau"), "ceffyl": ("ceffylau", "geffylau"), "ci": ("cŵn", "gŵn"),
    "car": ("ceir", "geir"), "tŷ": ("tai", "dai"), "blodyn": ("blodau", "flodau"), "aderyn": ("adar", "adar"),
    "pysgodyn": ("pysgod", "bysgod"), "llun": ("lluniau", "luniau"), "bwrdd": ("byrddau", "fyrddau"),
    "crys": ("crysau", "grysau"), "tocyn": ("tocynnau", "docynnau"), "cwch": ("cychod", "gychod"),
    "mynydd": ("mynyddoedd", "fynyddoedd"), "bocs": ("bocsys", "focsys"), "plât": ("platiau", "blatiau"),
}  # fmt: skip
CY_VERBS = {
    "darllen": ("llyfr", "llythyr", "papur"),
    "ysgrifennu": ("llyfr", "llythyr"),
    "prynu": ("llyfr", "afal", "wy", "car", "crys", "tocyn", "pysgodyn", "papur", "llun", "ceffyl"),
    "gwerthu": ("afal", "wy", "ceffyl", "ci", "tŷ", "blodyn", "cwch", "llyfr"),
    "gweld": ("aderyn", "ceffyl", "cwch", "mynydd", "tŷ", "blodyn", "ci"),
    "bwyta": ("afal", "wy", "pysgodyn"),
    "golchi": ("car", "crys", "plât", "ci"),
    "cario": ("bocs", "bwrdd", "llun", "plât"),
    "chwilio am": (),  # 'am' takes soft mutation: only counted things, see _welsh_action
}
CY_TENSES = {
    "mae": ("heddiw", "nawr", "bob dydd", "eto"),
    "roedd": ("ddoe", "neithiwr", "y llynedd", "yn y bore"),
    "bydd": ("yfory", "heno", "yr wythnos nesaf", "cyn bo hir"),
}
CY_PLACES = (
    "yn y tŷ",
    "yn yr ardd",
    "yn yr ysgol",
    "yn y dref",
    "wrth y môr",
    "yn y gegin",
    "ar y trên",
    "yn y farchnad",
)
CY_POSITIONS = ("ar y bwrdd", "yn y siop", "yn yr ardd", "wrth y drws", "o flaen y tŷ", "wrth y tân", "ar y mynydd")
CY_SOFT_HOURS = (
    "un",
    "ddau",
    "dri",
    "bedwar",
    "bump",
    "chwech",
    "saith",
    "wyth",
    "naw",
    "ddeg",
    "un ar ddeg",
    "ddeuddeg",
)
CY_PARTS_OF_DAY = ("", " yn y bore", " yn y prynhawn", " yn y nos")
CY_MASCULINE_NUMERALS = ("dau", "tri", "thri", "pedwar", "phedwar")


def _welsh(random: Random) -> str:
    return random.choices((_welsh_action, _welsh_position, _welsh_time, _welsh_price), weights=(6, 2, 1, 1))[0](random)


def _welsh_counted(thing: str, random: Random) -> str:
    return f"{number(random.randrange(2, 41), 'cy')} o {CY_THINGS[thing][1]}"


def _welsh_action(random: Random) -> str:
    be, subject, verb = random.choice(tuple(CY_TENSES)), random.choice(CY_SUBJECTS), random.choice(tuple(CY_VERBS))
    if verb == "chwilio am":
        wanted = f"{random.choice(('saith', 'wyth', 'naw', 'ugain'))} o {CY_THINGS[random.choice(tuple(CY_THINGS))][1]}"
    else:
        thing = random.choice(CY_VERBS[verb])
        wanted = random.choice((thing, CY_THINGS[thing][0], _welsh_counted(thing, random)))
    if be == "mae" and subject.startswith(("y ", "yr ")):
        start = "mae'r " + subject.split(" ", 1)[1]
    else:
        start = f"{be} {subject}"
    yn = "'n" if start[-1] in "aeiouwyâêîôûŵŷ" else " yn"
    place = " " + random.choice(CY_PLACES) if random.random() < 0.3 else ""
    adverb = " " + random.choice(CY_TENSES[be]) if random.random() < 0.4 else ""
    return f"{start}{yn} {verb} {wanted}{place}{adverb}"


def _welsh_position(random: Random) -> str:
    return f"mae {_welsh_counted(random.choice(tuple(CY_THINGS)), random)} {random.choice(CY_POSITIONS)}"


def _welsh_time(random: Random) -> str:
    hour = random.randrange(12)
    clock = random.choice(
        (
            f"{CY_SOFT_HOURS[hour]} o'r gloch",
            f"hanner awr wedi {number(hour + 1, 'cy')}",
            f"chwarter wedi {number(hour + 1, 'cy')}",
            f"chwarter i {CY_SOFT_HOURS[hour]}",
        )
    )
    return f"mae hi'n {clock}{random.choice(CY_PARTS_OF_DAY)}"


def _welsh_price(random: Random) -> str:
    thing = random.choice(("llyfr", "crys", "tocyn", "llun", "pysgodyn", "bwrdd", "plât", "papur", "bocs"))
    return f"mae'r {thing} yn costio {number(random.choice(_pound_counts()), 'cy')} o bunnoedd"


@functools.cache
def _pound_counts() -> tuple[int, ...]:
    """Counts that read the same with a feminine noun (punt): those without two, three or four."""
    return tuple(n for n in range(5, 101) if not set(number(n, "cy").split()) & set(CY_MASCULINE_NUMERALS))


# ---------------------------------------------------------------------------------------------------- number phrases
@dataclass(frozen=True)
class Phrases:
    """Frames for numbers: what carries a number as its name, what has a price, and a sum."""

    labels: tuple[str, ...]
    wares: tuple[str, ...]
    price: str  # with {ware} and {n}
    total: str  # with {a}, {b} and {c}


PHRASES = {
    "de": Phrases(
        ("seite", "zimmer", "zeile", "lektion", "bus", "haus"), ("das brot", "das buch", "das hemd", "der kaffee"),
        "{ware} kostet {n} euro", "{a} plus {b} ist {c}",
    ),
    "eo": Phrases(
        ("paĝo", "ĉambro", "linio", "leciono", "domo"), ("la pano", "la libro", "la ĉemizo", "la kafo"),
        "{ware} kostas {n} eŭrojn", "{a} plus {b} estas {c}",
    ),
    "es": Phrases(
        ("página", "sala", "línea", "lección", "casa"), ("el pan", "el libro", "la camisa", "el café"),
        "{ware} cuesta {n} euros", "{a} más {b} son {c}",
    ),
    "fi": Phrases(
        ("sivu", "huone", "rivi", "luku", "talo", "bussi"), ("leipä", "kirja", "paita", "kahvi"),
        "{ware} maksaa {n} euroa", "{a} plus {b} on {c}",
    ),
    "fr": Phrases(
        ("page", "chambre", "ligne", "leçon", "salle"), ("le pain", "le livre", "la chemise", "le café"),
        "{ware} coûte {n} euros", "{a} plus {b} font {c}",
    ),
    "id": Phrases(
        ("halaman", "kamar", "baris", "pelajaran", "rumah"), ("roti", "buku", "baju", "kopi"),
        "harga {ware} {n} ribu rupiah", "{a} tambah {b} sama dengan {c}",
    ),
    "it": Phrases(
        ("pagina", "stanza", "riga", "lezione", "casa"), ("il pane", "il libro", "la camicia", "il caffè"),
        "{ware} costa {n} euro", "{a} più {b} fa {c}",
    ),
    "nl": Phrases(
        ("bladzijde", "kamer", "regel", "les", "bus", "huis"), ("het brood", "het boek", "het hemd", "de koffie"),
        "{ware} kost {n} euro", "{a} plus {b} is {c}",
    ),
    "pt": Phrases(
        ("página", "sala", "linha", "lição", "casa"), ("o pão", "o livro", "a camisa", "o café"),
        "{ware} custa {n} euros", "{a} mais {b} são {c}",
    ),
    "sv": Phrases(
        ("sida", "rum", "rad", "lektion", "buss", "hus"), ("brödet", "boken", "skjortan", "kaffet"),
        "{ware} kostar {n} kronor", "{a} plus {b} är {c}",
    ),
    "tr": Phrases(
        ("sayfa", "oda", "satır", "ders", "ev"), ("ekmek", "kitap", "gömlek", "kahve"),
        "{ware} {n} lira", "{a} artı {b} {c} eder",
    ),
}  # fmt: skip
NUMBERS_ONLY = (
    "az", "bn", "ca", "cs", "da", "fa", "hu", "is", "kk", "ko", "lt", "lv", "nb", "pl", "ro", "ru", "sk", "sl", "sr",
    "uk", "vi",
)  # fmt: skip


def _phrase(language: str, phrases: Phrases, random: Random) -> str:
    def print_line(value: int) -> str:
        return number(value, language)

    kind = random.randrange(3)
    if kind == 0:
        first, second = random.sample(phrases.labels, 2)
        return f"{first} {print_line(random.randrange(2, 400))} {second} {print_line(random.randrange(2, 100))}"
    if kind == 1:
        price = 10 * random.randrange(1, 100) + random.choice(
            (0, 2, 3, 4, 5, 6, 7, 8, 9)
        )  # never ...1: it changes with the noun
        return phrases.price.format(ware=random.choice(phrases.wares), n=print_line(price))
    a, b = random.randrange(2, 100), random.randrange(2, 100)
    return phrases.total.format(a=print_line(a), b=print_line(b), c=print_line(a + b))


GRAMMARS: dict[str, Callable[[Random], str]] = {"cy": _welsh, "sw": swahili_sentence}
