"""Descriptions for the OpenAPI document, of fields that do not describe themselves.

Fields are named as `Schema.field`. Client parameters without an effect are described as such:
accepted with any value, or only with values that ask for what is done anyway. A test finds fields
without a description. This module reads no request.
"""

from __future__ import annotations

from typing import Any

from edgeguard.server.categories import ALL_KEYS, FURTHER, KEYS_OF, OTHER
from edgeguard.server.chat import ChatRequest
from edgeguard.server.ollama import Common
from edgeguard.server.openapi_hosts import FIELDS as OF_HOSTS

Schema = dict[str, Any]

FIELDS = {
    **OF_HOSTS,
    "Alive.status": "Always `ok`.",
    "Alternative.token": "The token as text.",
    "Alternative.logprob": "The natural logarithm of its probability among those allowed here.",
    "Alternative.bytes": "The token's bytes in UTF-8; a token may end within a character.",
    "TokenLogprob.token": "The token as text.",
    "TokenLogprob.logprob": "The natural logarithm of its probability among those allowed here.",
    "TokenLogprob.bytes": "The token's bytes in UTF-8; a token may end within a character.",
    "TokenLogprob.top_logprobs": "The likeliest tokens that were allowed here, this one included.",
    "AnswerChoice.index": "Always 0: there is one answer.",
    "AnswerChoice.message": "The answer.",
    "AnswerChoice.logprobs": "The tokens of the answer; null unless asked for.",
    "AnswerChoice.finish_reason": "`length` where `max_tokens` cut the answer.",
    "AnswerMessage.role": "Always `assistant`.",
    "AnswerMessage.content": "The verdict in the model's own format, a line for each part of it.",
    "AnswerMessage.refusal": "Always null: the guard itself refuses nothing.",
    "ChatCompletion.id": "Of this answer alone.",
    "ChatCompletion.object": "Always `chat.completion`.",
    "ChatCompletion.created": "When it was answered, in Unix seconds.",
    "ChatCompletion.model": "The model that answered.",
    "ChatCompletion.choices": "One choice.",
    "ChatCompletion.usage": "How many tokens were read and written.",
    "ChatMessage.role": "Who says it. `developer` is a system message; a tool is judged as input.",
    "ChatMessage.content": "Its text, or parts of text, which are joined by line breaks.",
    "ChatMessage.refusal": "Only null: a refusal is a message's content here.",
    "ChatMessage.annotations": "Only empty: nothing in them would be judged.",
    "ChatMessage.audio": "Only null: sound is not judged.",
    "ChatMessage.tool_call_id": "Accepted; the question has no place for it.",
    "ChatMessage.function_call": "Judged as text: its name and its arguments.",
    "ChatRequest.messages": "The conversation. The last message is judged: a user's as a prompt, "
    "an assistant's as a response.",
    "ChatRequest.stream": "Send the answer as server-sent events, once the verdict is there.",
    "ChatRequest.stream_options": "What a stream ends with; only with `stream`.",
    "ChatRequest.logprobs": "Send the probabilities of the answer's tokens.",
    "ChatRequest.top_logprobs": "So many alternatives for each token; only with `logprobs`.",
    "ChatRequest.max_tokens": "Cut the answer after so many tokens; -1 is no limit.",
    "ChatRequest.max_completion_tokens": "The newer name of `max_tokens`; the smaller counts.",
    "Error.error": "What is wrong.",
    "Health.status": "`idle`: the model's memory was given back, and the next request loads it.",
    "Health.model": "The name of the model that is loaded.",
    "Health.type": "The quantization type of its file.",
    "Health.sha256": "The sha256 of its file.",
    "Health.queue": "The requests that wait for the model.",
    "IndexedError.index": "The place of the text in `inputs`, from 0.",
    "InputsRequest.inputs": "Prompts, responses and conversations, in any mixture.",
    "Logprobs.content": "A token each, in order.",
    "Logprobs.refusal": "Always null.",
    "ModelCard.id": "A name that requests may give.",
    "ModelCard.object": "Always `model`.",
    "ModelCard.owned_by": "Always `edgeguard`.",
    "ModelList.object": "Always `list`.",
    "ModelList.data": "A card for each name.",
    "Moderation.id": "Of this answer alone.",
    "Moderation.model": "The model that answered.",
    "Moderation.results": "A result for each text, in order; one for a conversation.",
    "ModerationRequest.input": "A text; texts, with a result each; parts of one text; or the "
    "messages of one conversation.",
    "ModerationRequest.user": "Accepted; nobody is told apart.",
    "ModerationRequest.metadata": "Accepted; nothing is kept.",
    "ModerationRequest.safety_identifier": "Accepted; nobody is told apart.",
    "ModerationResult.categories": "Which keys the text is flagged for.",
    "ModerationResult.category_scores": "The probability of harm for each key, 0 to 1.",
    "ModerationResult.category_applied_input_types": "For which keys text was looked at.",
    "ModerationResult.edgeguard": "The whole verdict, or why there is none.",
    "NotJudged.error": "Why the text could not be judged.",
    "NotReady.status": "Why no text can be judged now.",
    "NotReady.reason": "The same in a sentence.",
    "Prompt.prompt": "The text that is judged.",
    "PromptRequest.prompt": "The text that is judged.",
    "Response.prompt": "What is answered; it may be empty, where it is not known.",
    "Response.response": "The text that is judged.",
    "ResponseRequest.prompt": "What is answered; it may be empty, where it is not known.",
    "ResponseRequest.response": "The text that is judged.",
    "RequestError.request_id": "The request's id, as in the log and in `X-Request-Id`.",
    "StreamOptions.include_usage": "End with a chunk that counts the tokens.",
    "StreamOptions.include_obfuscation": "Accepted; nothing is added.",
    "StreamOptions.continuous_usage_stats": "Only false: usage stands in the last chunk.",
    "StreamRequest.response": "The text that is judged, as it would be written.",
    "TemplateArguments.enable_thinking": "Accepted; the model answers without thinking.",
    "TextFormat.type": "Always `text`.",
    "TextPart.type": "Always `text`: images and sounds are not judged.",
    "TextPart.text": "The text of the part.",
    "Usage.prompt_tokens": "Tokens of the questions that were asked.",
    "Usage.completion_tokens": "Tokens of the answer.",
    "Usage.total_tokens": "Both together.",
    "Verdicts.verdicts": "One for each input, in order.",
    "Waiting.waiting": "Requests that wait now.",
    "Waiting.capacity": "Requests that may wait; the next one gets 503.",
    "Waiting.oldest_wait_seconds": "How long the first of them has waited.",
    "ChatChunk.id": "The same in every chunk of an answer.",
    "ChatChunk.object": "Always `chat.completion.chunk`.",
    "ChatChunk.created": "When it was answered, in Unix seconds.",
    "ChatChunk.model": "The model that answered.",
    "ChatChunk.choices": "One choice with a piece of the answer; none in the chunk with `usage`.",
    "ChatChunk.usage": "How many tokens were read and written; null but in the last chunk.",
}
PARAMETERS = {"model": "A name of the model, as `/v1/models` lists them."}
_TAKEN = "Accepted, and changes nothing: the answer is decided, not sampled."
_ONLY = "Accepted only where it asks for what is done anyway{}; any other value is 400."


def describe(schemas: Schema) -> None:
    """Give every property of the schemas a description."""
    for name, schema in schemas.items():
        for field, found in schema.get("properties", {}).items():
            if "description" not in found:
                text = FIELDS.get(f"{name}.{field}") or _found(name, field, found)
                if text:
                    found["description"] = text


def _found(name: str, field: str, schema: Schema) -> str | None:
    if name.startswith("Category") and field in ALL_KEYS:
        return _key(field)
    if name in ("ChatMessage", "OllamaTurn"):  # the one is a kind of the other
        kept = "Accepted; hosts keep it with a message and send it back."
        return FIELDS.get(f"ChatMessage.{field}", kept)
    if name not in (
        "ChatRequest",
        "OllamaChatRequest",
        "OllamaGenerateRequest",
        "OllamaNameRequest",
    ):
        return None
    why = (ChatRequest if name == "ChatRequest" else Common).refused.get(field)
    narrow = any(word in str(schema) for word in ("'const'", "'maxItems': 0", "'maxProperties': 0"))
    if why or narrow or schema.get("type") == "null" or "'minimum'" in str(schema):
        return _ONLY.format(f": {why}" if why else "")
    return _TAKEN


def _key(key: str) -> str:
    sources = [category for category, keys in KEYS_OF.items() if key in keys]
    if sources:
        return f"OpenAI's key for {' and '.join(sources)}."
    if key == OTHER:
        return "Flagged without a category, or could not be judged."
    if key in FURTHER:
        return "A category that OpenAI has no key for."
    return "Has no source here: always false, 0, and without input types."
