"""Sentences for the demo: small grammars for Swahili and Welsh, number phrases for other languages.

What it is: `sentence`, which makes one random sentence, lower case and without punctuation. What it is not: a language
model or a course book; the sentences are simple and grammatical, and often silly. Word lists and grammars are written
for this file. Numbers: the package num2words (https://github.com/savoirfairelinux/num2words), except Swahili, which it lacks.

The rules behind the two grammars. Swahili: verbs agree with the class of their subject (a-/wa-), adjectives and the
numerals 1-5 and 8 with the class of their noun, and follow it; clock hours count from six (saa moja is seven). Welsh:
the verb comes first; a counted noun is plural after 'o', with soft mutation; after "mae hi'n" the hour has soft
mutation, after "wedi" it has none.
"""

import functools
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

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


# ----------------------------------------------------------------------------------------------------------- Swahili
SW_UNITS = ("", "moja", "mbili", "tatu", "nne", "tano", "sita", "saba", "nane", "tisa")
SW_TENS = ("", "kumi", "ishirini", "thelathini", "arobaini", "hamsini", "sitini", "sabini", "themanini", "tisini")
SW_AGREEING = {1: "moja", 2: "wili", 3: "tatu", 4: "nne", 5: "tano", 8: "nane"}
SW_CONCORD = {1: "m", 2: "wa", 3: "m", 4: "mi", 5: "", 6: "ma", 7: "ki", 8: "vi", 9: "", 10: ""}
SW_COPULA = {3: "uko", 4: "iko", 5: "liko", 6: "yako", 7: "kiko", 8: "viko", 9: "iko", 10: "ziko"}
SW_ADJECTIVES = ("kubwa", "dogo", "zuri", "pya")
SW_NASAL_ADJECTIVES = {"kubwa": "kubwa", "dogo": "ndogo", "zuri": "nzuri", "pya": "mpya"}  # classes 9 and 10
SW_PERSONS = (
    ("mtoto", "watoto"), ("mwanafunzi", "wanafunzi"), ("mwalimu", "walimu"), ("mkulima", "wakulima"),
    ("msichana", "wasichana"), ("mvulana", "wavulana"), ("mzee", "wazee"), ("mgeni", "wageni"), ("mpishi", "wapishi"),
    ("daktari", "madaktari"), ("fundi", "mafundi"), ("mfanyakazi", "wafanyakazi"),
)  # fmt: skip
SW_ANIMALS = ("mbwa", "paka", "ng'ombe", "mbuzi", "punda", "kuku")
SW_THINGS = {  # singular: (plural, class of the singular)
    "mti": ("miti", 3), "mkate": ("mikate", 3), "mkeka": ("mikeka", 3), "mfuko": ("mifuko", 3), "mlima": ("milima", 3),
    "gazeti": ("magazeti", 5), "yai": ("mayai", 5), "chungwa": ("machungwa", 5), "embe": ("maembe", 5),
    "gari": ("magari", 5), "ua": ("maua", 5), "sanduku": ("masanduku", 5), "tunda": ("matunda", 5),
    "kitabu": ("vitabu", 7), "kiti": ("viti", 7), "kisu": ("visu", 7), "kikombe": ("vikombe", 7),
    "kikapu": ("vikapu", 7), "kiatu": ("viatu", 7), "kiazi": ("viazi", 7), "kijiko": ("vijiko", 7),
    "barua": ("barua", 9), "nguo": ("nguo", 9), "ndizi": ("ndizi", 9), "picha": ("picha", 9), "nyumba": ("nyumba", 9),
    "kalamu": ("kalamu", 9), "sahani": ("sahani", 9), "meza": ("meza", 9),
}  # fmt: skip
SW_VERBS = {
    "soma": ("kitabu", "barua", "gazeti"),
    "andika": ("kitabu", "barua"),
    "nunua": (
        "kikombe",
        "kiti",
        "kisu",
        "nguo",
        "ndizi",
        "embe",
        "yai",
        "mkate",
        "kalamu",
        "gari",
        "mkeka",
        "kiatu",
        "chungwa",
    ),
    "uza": ("kikapu", "kiti", "nguo", "ndizi", "chungwa", "mkeka", "kiazi", "tunda", "nyumba", "ua"),
    "beba": ("kiti", "mfuko", "kikapu", "sanduku", "meza"),
    "ona": ("nyumba", "gari", "mti", "mlima", "picha", "ua"),
    "pika": ("yai", "ndizi", "kiazi"),
    "kula": ("embe", "ndizi", "yai", "chungwa", "mkate", "tunda", "kiazi"),
    "tafuta": ("kitabu", "kalamu", "kiatu", "nguo", "kisu", "kijiko"),
    "osha": ("kikombe", "gari", "nguo", "sahani", "kisu", "kijiko", "kiatu"),
    "panda": ("mti", "ua"),
    "leta": ("kikombe", "kiti", "sahani", "embe", "yai", "kalamu", "kijiko", "gazeti"),
}
SW_TENSES = {  # sign of the tense: adverbs that go with it
    "na": ("sasa", "kila siku", "leo", "kila asubuhi"),
    "li": ("jana", "jana jioni", "wiki iliyopita", "juzi"),
    "ta": ("kesho", "kesho asubuhi", "wiki ijayo", "leo usiku"),
    "me": ("leo", "tayari"),
}
SW_DESTINATIONS = ("nyumbani", "sokoni", "shuleni", "shambani", "mjini", "kijijini", "hospitalini")
SW_POSITIONS = (
    "juu ya meza",
    "chini ya mti",
    "ndani ya nyumba",
    "karibu na mlango",
    "mbele ya duka",
    "jikoni",
    "sokoni",
)
SW_ANIMAL_VERBS = (
    "kunywa maji",
    "lala chini ya mti",
    "kimbia",
    "rudi nyumbani",
    "zunguka shambani",
    "tembea barabarani",
)
SW_MINUTES = ("", "na nusu", "na robo", "na dakika kumi", "na dakika tano", "na dakika ishirini", "kasoro robo")


def swahili_number(value: int) -> str:
    """A whole number from 1 to 9999 in Swahili, as one counts (no noun to agree with)."""
    thousands, hundreds, tens, unit = value // 1000, value // 100 % 10, value // 10 % 10, value % 10
    parts = [f"elfu {SW_UNITS[thousands]}"] if thousands else []
    parts += [f"mia {SW_UNITS[hundreds]}"] if hundreds else []
    parts += [SW_TENS[tens]] if tens else []
    parts += [SW_UNITS[unit]] if unit else []
    return " ".join(parts[:-1] + ["na"] * (len(parts) > 1) + parts[-1:])


def swahili_numeral(value: int, noun_class: int) -> str:
    """A numeral from 1 to 99 that follows a noun of the (plural) class `noun_class` and agrees with it."""
    tens, unit = value // 10, value % 10
    agrees_with = (
        noun_class - 1 if unit == 1 and noun_class % 2 == 0 else noun_class
    )  # 'kumi na kimoja': one takes the singular
    if noun_class in (9, 10) or unit not in SW_AGREEING:
        last = SW_UNITS[unit]
    else:
        last = SW_CONCORD[agrees_with] + SW_AGREEING[unit]
    return " na ".join(word for word in (SW_TENS[tens], last) if word)


def swahili_adjective(stem: str, noun_class: int) -> str:
    """An adjective that agrees with a noun of class `noun_class`."""
    if noun_class in (9, 10):
        return SW_NASAL_ADJECTIVES[stem]
    if (stem, noun_class) == ("pya", 5):
        return "jipya"
    return SW_CONCORD[noun_class] + stem


def _swahili_noun_phrase(singular: str, plural: str, singular_class: int, random: Random, most: int) -> tuple[str, int]:
    """Noun, maybe an adjective, maybe a numeral up to `most`; and the class that the verb agrees with."""
    noun, noun_class = (singular, singular_class) if random.random() < 0.4 else (plural, singular_class + 1)
    words = [noun]
    if random.random() < 0.3:
        words.append(swahili_adjective(random.choice(SW_ADJECTIVES), noun_class))
    if noun_class % 2 == 0 and random.random() < 0.6:
        words.append(swahili_numeral(random.randrange(2, most + 1), noun_class))
    return " ".join(words), noun_class


def _swahili_subject(random: Random) -> tuple[str, str]:
    """A person or several, and the verb's prefix for them."""
    subject, noun_class = _swahili_noun_phrase(*random.choice(SW_PERSONS), 1, random, most=10)
    return subject, "a" if noun_class == 1 else "wa"


def _swahili(random: Random) -> str:
    return random.choices(
        (_swahili_action, _swahili_journey, _swahili_position, _swahili_animal, _swahili_time, _swahili_price),
        weights=(10, 3, 4, 3, 3, 3),
    )[0](random)


def _swahili_action(random: Random) -> str:
    subject, prefix = _swahili_subject(random)
    tense = random.choice(tuple(SW_TENSES))
    stem = random.choice(tuple(SW_VERBS))
    thing = random.choice(SW_VERBS[stem])
    wanted, _ = _swahili_noun_phrase(thing, *SW_THINGS[thing], random, most=19)
    adverb = " " + random.choice(SW_TENSES[tense]) if random.random() < 0.4 else ""
    return f"{subject} {prefix}{tense}{stem} {wanted}{adverb}"


def _swahili_journey(random: Random) -> str:
    subject, prefix = _swahili_subject(random)
    tense = random.choice(tuple(SW_TENSES))
    return f"{subject} {prefix}{tense}enda {random.choice(SW_DESTINATIONS)} {random.choice(SW_TENSES[tense])}"


def _swahili_position(random: Random) -> str:
    thing = random.choice(tuple(SW_THINGS))
    what, noun_class = _swahili_noun_phrase(thing, *SW_THINGS[thing], random, most=19)
    return f"{what} {SW_COPULA[noun_class]} {random.choice(SW_POSITIONS)}"


def _swahili_animal(random: Random) -> str:
    animal = random.choice(SW_ANIMALS)
    subject, noun_class = _swahili_noun_phrase(animal, animal, 1, random, most=19)
    tense = random.choice(("na", "li"))
    return f"{subject} {'a' if noun_class == 1 else 'wa'}{tense}{random.choice(SW_ANIMAL_VERBS)}"


def _swahili_time(random: Random) -> str:
    hour, minutes = number(random.randrange(1, 13), "sw"), random.choice(SW_MINUTES)
    part = random.choice(("asubuhi", "mchana", "jioni", "usiku"))
    return " ".join(f"sasa ni saa {hour} {minutes} {part}".split())


def _swahili_price(random: Random) -> str:
    thing = random.choice(tuple(SW_THINGS))
    return f"bei ya {thing} ni shilingi {number(50 * random.randrange(2, 100), 'sw')}"


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


GRAMMARS: dict[str, Callable[[Random], str]] = {"cy": _welsh, "sw": _swahili}
