"""Sentences in Swahili for the demo: `swahili_sentence` and numbers in words.

Verbs agree with the class of their subject (a-/wa-); adjectives and the numerals 1-5 and 8 agree with the class of their noun and
follow it; clock hours count from six (saa moja is seven). Word lists and grammar are written for this file.
"""

from random import Random

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


def swahili_sentence(random: Random) -> str:
    """One random sentence."""
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
    hour, minutes = swahili_number(random.randrange(1, 13)), random.choice(SW_MINUTES)
    part = random.choice(("asubuhi", "mchana", "jioni", "usiku"))
    return " ".join(f"sasa ni saa {hour} {minutes} {part}".split())


def _swahili_price(random: Random) -> str:
    thing = random.choice(tuple(SW_THINGS))
    return f"bei ya {thing} ni shilingi {swahili_number(50 * random.randrange(2, 100))}"
