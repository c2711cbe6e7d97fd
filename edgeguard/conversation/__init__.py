"""Conversations as people have them, in any of the public forms, read into one.

    turn.py        one message as it came: who speaks, and what is in it
    content.py     what stands in a message: texts, calls, pictures, thinking
    calls.py       a call of a tool, as text
    forms.py       the forms of one message: OpenAI, Anthropic, Responses, ShareGPT, LangChain, …
    chatgpt.py     the tree of ChatGPT's own export
    chatml.py      ChatML text
    containers.py  what the messages stand in: a list, an object, a text
    reader.py      read_messages: all of it together
    value.py       the conversation that comes out, and which of its messages are judged
    rows.py        rows of tables and of files that hold a conversation
    row_lists.py   what is plainly a list of rows
    recent.py      the verdicts of the last conversations, in memory

docs/conversations.md is the table of what becomes of what. Nothing here is dropped without a word:
what is not judged is an error, or stands in ``Conversation.not_judged``. Nothing here tokenizes or
judges; how a question is written is edgeguard.protocol's.
"""

from edgeguard.conversation.reader import read_messages
from edgeguard.conversation.value import Conversation, Judged

__all__ = ["Conversation", "Judged", "read_messages"]
