"""The small parts of path patterns."""

from hypothesis import given
from hypothesis import strategies as st

from sources.layouts.patterns import edited_parts, fill, natural, regex
from sources.layouts.place import flat_name, trouble_with

PARTS = ("nose", "eye", "eyebrow", "lip", "hair")
words = st.text("abz019-. ", min_size=1, max_size=6)


def test_edited_parts_are_read_from_names_and_from_numbers():
    assert edited_parts("nose-eye-lip", PARTS) == ("nose", "eye", "lip")
    assert edited_parts("[1, 2, 4, 0, 0]", PARTS) == ("nose", "eye", "lip")
    assert edited_parts("['hair' 'nose']", ()) == ("hair", "nose")
    assert edited_parts("[0, 0, 0, 0, 0]", PARTS) == edited_parts("", PARTS) == ()
    assert edited_parts("7", PARTS) == ("7",)


@given(words, words, words)
def test_a_pattern_gives_back_keys_that_refill_it(method, target, source):
    pattern = "f/{method}/{target}_{source}__{target}.mp4"
    path = fill(pattern, {"method": method, "target": target, "source": source})
    keys = regex(pattern).fullmatch(path)
    assert keys is not None
    assert keys.groupdict() == {"method": method, "target": target, "source": source}
    assert fill(pattern, keys.groupdict()) == path


@given(st.lists(st.text(max_size=8), max_size=8))
def test_natural_order_takes_any_name(names):
    assert sorted(sorted(names, key=natural, reverse=True), key=natural) == sorted(
        names, key=natural
    )
    assert sorted(["f10", "f9", "f²", "f٣"], key=natural)[:2] == ["f9", "f10"]


@given(st.lists(st.sampled_from(["a", "..", "b c", ".", "..a"]), min_size=1, max_size=5))
def test_a_path_is_refused_only_where_it_climbs(parts):
    assert bool(trouble_with("/".join(["x", *parts]))) == (".." in parts)


def test_a_flat_name_keeps_the_folders_apart():
    assert flat_name("a/b/1.mp4") == "a-b-1"
