import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8sgpt_magic.cluster import selectors
from k8sgpt_magic.cluster.resources import LabelSelector, LabelSelectorRequirement

LABELS = {"app": "web", "tier": "front", "weight": "7"}


@pytest.mark.parametrize(
    "text",
    [
        "", "app=web", "app==web", "app = web", "app!=api", "canary!=yes", "app in (web, api)", "app in (web)",
        "tier notin (back,db)", "missing notin (a)", "app", "!canary", "weight>5", "weight<8",
        "app=web,tier in (front, back),!canary,weight>6", "app in (web,api),tier=front",
    ],
)  # fmt: skip
def test_selectors_that_pick_these_labels(text):
    assert selectors.matches(selectors.parse(text), LABELS)


@pytest.mark.parametrize(
    "text",
    ["app=api", "app!=web", "app in (api,db)", "tier notin (front)", "canary", "!app", "weight>7", "weight<7", "app>1",
     "app=web,tier=back"],
)  # fmt: skip
def test_selectors_that_do_not(text):
    assert not selectors.matches(selectors.parse(text), LABELS)


@pytest.mark.parametrize(
    "text", ["app in web", "=web", "app=web=x", "app in (a", "a b", "app=we b", "app>x", "-app=web", ","]
)
def test_what_is_no_selector_is_named(text):
    with pytest.raises(ValueError, match=r"requirement|label|number"):
        selectors.parse(text)


def test_a_selector_of_a_spec_needs_labels_and_expressions_both():
    spec = LabelSelector(
        match_labels={"app": "web"},
        match_expressions=(
            LabelSelectorRequirement("tier", "In", ("front", "back")),
            LabelSelectorRequirement("canary", "DoesNotExist"),
        ),
    )
    assert selectors.matches(selectors.from_spec(spec), LABELS)
    assert not selectors.matches(selectors.from_spec(spec), LABELS | {"canary": "yes"})
    assert not selectors.matches(selectors.from_spec(spec), {"app": "web"})


names = st.from_regex(r"[a-z]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)
requirements = st.builds(
    selectors.Requirement,
    key=names,
    operator=st.sampled_from(["In", "NotIn"]),
    values=st.lists(names, min_size=1, max_size=3, unique=True).map(tuple),
) | st.builds(selectors.Requirement, key=names, operator=st.sampled_from(["Exists", "DoesNotExist"]))


@given(st.lists(requirements, max_size=4).map(tuple))
def test_a_selector_written_as_text_reads_back_the_same(selector):
    assert selectors.parse(selectors.text_of(selector)) == selector


@given(st.text(max_size=60))
def test_any_text_is_a_selector_or_a_value_error(text):
    try:
        selectors.parse(text)
    except ValueError:
        return
