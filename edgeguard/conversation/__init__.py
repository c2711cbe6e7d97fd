"""Reads conversations in any of the public forms into one common form.

    turn.py        one message as it came: who speaks, and its content
    content.py     the content of a message: texts, calls, pictures, thinking
    calls.py       a tool call, as text
    forms.py       the forms of one message: OpenAI, Anthropic, Responses, ShareGPT, LangChain, …
    chatgpt.py     the tree of ChatGPT's own export
    chatml.py      ChatML text
    containers.py  what the messages stand in: a list, an object, a text
    reader.py      read_messages: all of it together
    value.py       the conversation that comes out, and which of its messages are judged
    rows.py        rows of tables and of files that hold a conversation
    row_lists.py   which values are lists of rows
    recent.py      the verdicts of the last conversations, in memory

docs/conversations.md is the table of how each form is read. Nothing is dropped silently: whatever
is not judged is an error, or is listed in ``Conversation.not_judged``. Nothing here tokenizes or
judges; edgeguard.protocol writes the question.
"""

from edgeguard.conversation.reader import read_messages
from edgeguard.conversation.value import Conversation, Judged

__all__ = ["Conversation", "Judged", "read_messages"]
