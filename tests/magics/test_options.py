import pandas as pd
import pytest
from IPython.core.error import UsageError

from k8sgpt_magic import options


def test_options_of_analyze_are_parsed_as_kubectl_users_write_them():
    subcommand, parsed = options.parse(
        ["analyze", "-n", "a,b", "--namespace", "c", "-f", "po", "-l", "app in (x,y)", "-A"]
    )
    assert subcommand.name == "analyze"
    assert parsed.namespace == ["a,b", "c"]
    assert parsed.filter == ["po"]
    assert parsed.selector == "app in (x,y)"
    assert parsed.all_namespaces


def test_analyse_is_analyze():
    assert options.parse(["analyse"])[0].name == "analyze"


@pytest.mark.parametrize(
    ("line", "suggestion"),
    [
        ("analize", "'analyze'"),
        ("analyze --namspace x", "'--namespace'"),
        ("analyze --namspace=x", "'--namespace'"),
        ("analyze --severity critcal", "'critical'"),
        ("analyze --output jsno", "'json'"),
        ("snapshot sav x.tar.gz", "'save'"),
    ],
)
def test_what_is_unknown_gives_one_line_with_the_nearest_right_one(line, suggestion):
    with pytest.raises(UsageError) as error:
        options.parse(line.split())
    assert type(error.value) is UsageError, "a subclass would show a traceback"
    assert suggestion in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("line", ["analyze --timeout soon", "analyze -n", "snapshot"])
def test_a_wrong_or_missing_value_gives_one_line(line):
    with pytest.raises(UsageError) as error:
        options.parse(line.split())
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("words", [[], ["--help"], ["help"]])
def test_help_of_the_magic_lists_every_subcommand(words):
    with pytest.raises(options.HelpShown) as shown:
        options.parse(words)
    for subcommand in options.SUBCOMMANDS:
        assert subcommand.name in str(shown.value)


@pytest.mark.parametrize("words", [["analyze", "--help"], ["analyze", "-h"], ["help", "analyze"]])
def test_help_of_a_subcommand_lists_every_option(words):
    with pytest.raises(options.HelpShown) as shown:
        options.parse(words)
    text = str(shown.value)
    assert text.startswith("usage: %k8sgpt analyze")
    for option in options.SUBCOMMANDS[0].options:
        for flag in option.flags:
            assert flag in text
    assert "%%" not in text


VARIABLES = {"ns": "shop", "several": ["a", "b"], "column": pd.Series(["c", "d"]), "cluster": {"name": "prod"}}


@pytest.mark.parametrize(
    ("word", "expanded"),
    [
        ("{ns}", "shop"),
        ("$ns", "shop"),
        ("--namespace={ns}", "--namespace=shop"),
        ("{several}", "a,b"),
        ("{column}", "c,d"),
        ("{cluster[name]}", "prod"),
        ("app in (a,b)", "app in (a,b)"),
        ("a{}b", "a{}b"),
        ("cost$", "cost$"),
        ("{1+1}", "{1+1}"),
    ],
)
def test_variables_expand_and_nothing_else_does(word, expanded):
    assert options.expand(word, VARIABLES) == expanded


@pytest.mark.parametrize("word", ["{nope}", "$nope", "{ns.nope}"])
def test_a_variable_that_is_not_defined_is_named(word):
    with pytest.raises(UsageError, match="nope"):
        options.expand(word, VARIABLES)


def test_explaining_is_a_magic_of_its_own_and_actions_are_listed_plainly():
    with pytest.raises(UsageError, match="explaining is %explain in a notebook"):
        options.parse(["explain"])
    with pytest.raises(UsageError, match="there are add, list, default"):
        options.parse(["auth", "xyzzy"])
