"""Round trips of real TextGrids and ELAN documents of public repositories, which are read from outside of this one.

``../shared/data/annotations`` holds any number of them, in any folders, and ELAN's schemas ``EAFv<version>.xsd``, which are not
free to be copied here. A tier is added to each file; after parsing, the old tiers must be the same, for Praat too, and the
schema must find no fault that it did not find before.
"""

import warnings
from pathlib import Path
from xml.etree import ElementTree

import pytest

from speechxfer.annotations import Interval, Tier, add_tiers, read_annotations
from speechxfer.annotations.praat_reading import parse_grid
from tests.test_annotations import in_praat

STORED = Path(__file__).resolve().parents[2] / "shared" / "data" / "annotations"
FILES = sorted(path for path in STORED.rglob("*") if path.suffix.lower() in (".textgrid", ".eaf"))
pytestmark = pytest.mark.skipif(not FILES, reason="no annotations of public repositories are here")


def schema_faults(path: Path) -> list[str]:
    """What the schema of the document's version finds; nothing where schema or validator are missing."""
    version = ElementTree.parse(path).getroot().attrib.get("FORMAT", "")
    schema = next(STORED.rglob(f"EAFv{version}.xsd"), None) if version else None
    if schema is None:
        return []
    xmlschema = pytest.importorskip("xmlschema")
    return [str(error.reason) for error in xmlschema.XMLSchema(schema).iter_errors(str(path))]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_old_tiers_are_equal_after_a_tier_is_added(path: Path, tmp_path: Path) -> None:
    before = read_annotations(path)[0]
    is_grid = path.suffix.lower() == ".textgrid"
    start_s = parse_grid(path.read_bytes(), path).start_s if is_grid else 0.0
    step = (before.duration_s - start_s) / 4
    new = (
        Interval(start_s + step, start_s + 2 * step, 'a "b" <&> ]]>'),
        Interval(start_s + 2 * step, start_s + 3 * step, "שלום"),
    )
    add_tiers(path, [Tier("new tier of this test", new, "ana")], tmp_path / path.name)
    after = read_annotations(tmp_path / path.name)[0]
    assert after.tiers[:-1] == before.tiers and after.tiers[-1].name == "new tier of this test"
    assert [interval.text for interval in after.tiers[-1].intervals] == [interval.text for interval in new]
    if is_grid:
        old, added = in_praat(path), in_praat(tmp_path / path.name)
        assert list(added.items())[:-1] == list(old.items())
        return
    tiers = [
        [ElementTree.tostring(tier).strip() for tier in ElementTree.parse(p).getroot().iter("TIER")]
        for p in (path, tmp_path / path.name)
    ]
    assert tiers[1][: len(tiers[0])] == tiers[0] and len(tiers[1]) == len(tiers[0]) + 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert not set(schema_faults(tmp_path / path.name)) - set(schema_faults(path))
