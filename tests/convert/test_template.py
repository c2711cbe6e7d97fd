"""A checkpoint's chat template must ask our question, and can do no harm."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from checkpoints import write_json
from reference import TEMPLATE

from edgeguard.convert import template_renderer
from edgeguard.convert.template import CONVERSATIONS, compare, read_templates
from edgeguard.errors import ConversionError

HOSTILE = {
    "endless loop": "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}"
    "{% endfor %}",
    "endless power": "{{ 9 ** 9 ** 9 ** 9 }}",
    "much output": "{% for a in range(99999) %}{{ messages|string * 9999 }}{% endfor %}",
    "much memory": "{{ ('x' * 99999) * 99999 }}",
    "wide format": "{{ '%99999999999d' % 1 }}",
    "attributes": "{{ messages.__class__.__mro__[1].__subclasses__() }}",
    "attributes by filter": "{{ ''|attr('__class__') }}",
    "attributes by format": "{{ '{0.__class__.__init__.__globals__}'.format(messages) }}",
    "globals": "{{ raise_exception.__globals__['__builtins__'] }}",
    "changes": "{{ messages.append(1) }}",
    "files": "{% include '/etc/passwd' %}",
    "import": "{% import 'os' as os %}{{ os.getcwd() }}",
    "recursion": "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    "its own error": "{{ raise_exception('no\nuser \x1b[31m') }}",
    "no jinja": "{% if %}",
    "nesting": "{{ " + "(" * 5000 + ")" * 5000 + " }}",
    "python": "{{ ''.join(__import__('os').listdir()) }}",
}


def check(folder: Path, settings: dict[str, Any]) -> None:
    compare(folder, read_templates(folder, settings), settings)


def test_a_template_that_asks_our_question_passes(tmp_path: Path) -> None:
    check(tmp_path, {"chat_template": TEMPLATE, "eos_token": {"content": "<|im_end|>"}})


def test_a_checkpoint_without_a_template_passes(tmp_path: Path) -> None:
    check(tmp_path, {"chat_template": None})


@pytest.mark.parametrize("name", ["chat_template.jinja", "chat_template.json"])
def test_templates_in_files_of_their_own_are_compared_too(tmp_path: Path, name: str) -> None:
    """transformers prefers the file, the reference converter tokenizer_config.json: check both."""
    wrong = TEMPLATE.replace("PII", "PIN")
    if name.endswith(".jinja"):
        (tmp_path / name).write_text(wrong, encoding="utf-8")
    else:
        write_json(tmp_path / name, {"chat_template": wrong})
    with pytest.raises(ConversionError, match=rf"{name}: .*expected 'PII\.', found 'PIN\.'"):
        check(tmp_path, {"chat_template": TEMPLATE})


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("Violent.", "Violence.", "line 13: expected 'Violent.', found 'Violence.'"),
        ("<think>\\n\\n</think>\\n\\n", "", "expected '<think>', found ''"),
        ("ASSISTANT: ", "AGENT: ", "found 'AGENT: It is Paris.'"),
        ("message.content", "message.content|trim", "'spaces and lines'"),
        ("Refusal: No'.", "Refusal: None'.", "'response'"),
        ('system" -%}', 'nobody" -%}', "'system'"),
    ],
)
def test_one_difference_is_an_error_that_shows_the_line(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    assert old in TEMPLATE
    with pytest.raises(ConversionError) as error:
        check(tmp_path, {"chat_template": TEMPLATE.replace(old, new)})
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_template_that_writes_more_or_less_is_an_error(tmp_path: Path) -> None:
    for template in (TEMPLATE + "{{ '\n' }}more", "nothing"):
        with pytest.raises(ConversionError, match="expected"):
            check(tmp_path, {"chat_template": template})


def test_several_named_templates_are_refused(tmp_path: Path) -> None:
    named = [{"name": "default", "template": TEMPLATE}]
    with pytest.raises(ConversionError, match="not one text"):
        check(tmp_path, {"chat_template": named})


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_template_is_an_error_within_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(template_renderer, "SECONDS", 1.0)
    with pytest.raises(ConversionError, match=r"its chat template fails|expected") as error:
        check(tmp_path, {"chat_template": HOSTILE[kind]})
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 600


def test_the_conversations_cover_both_modes_and_every_role() -> None:
    turns = list(CONVERSATIONS.values())
    assert {conversation[-1][0] for conversation in turns} == {"user", "assistant"}
    assert {role for conversation in turns for role, _ in conversation} == {
        "system",
        "user",
        "assistant",
    }
