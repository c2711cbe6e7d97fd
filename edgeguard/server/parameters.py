"""Chat completion parameters that other servers than OpenAI's have, and their clients send.

Parameters that cannot change the answer are accepted: those of sampling, since the answer is not
sampled, and values that ask for what is done anyway. The rest is refused with 400, because the
client would not get the answer it asked for. Sources: the requests of vLLM, SGLang, llama-server,
LM Studio and OpenRouter.

This module only checks them.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from edgeguard.server.requests import AsInteger, Body

Nothing = Annotated[list[Any], Field(max_length=0)]
"""An empty list: what some clients send for a parameter that they do not use."""
NoFields = Annotated[dict[str, Any], Field(max_length=0)]


class OfOtherServers(Body):
    """Accepted; none changes the answer."""

    # vLLM
    ignore_eos: Literal[False] | None = None
    min_tokens: Annotated[int, Field(ge=0, le=0), AsInteger] | None = None
    stop_token_ids: Nothing | None = None
    bad_words: Nothing | None = None
    allowed_token_ids: None = None
    use_beam_search: Literal[False] | None = None
    best_of: Annotated[int, Field(ge=1, le=1), AsInteger] | None = None
    include_stop_str_in_output: Literal[False] | None = None
    continue_final_message: Literal[False] | None = None
    add_special_tokens: bool | None = None
    truncate_prompt_tokens: None = None
    prompt_logprobs: None = None
    documents: Nothing | None = None
    chat_template: None = None
    mm_processor_kwargs: NoFields | None = None
    guided_json: None = None
    guided_regex: None = None
    guided_choice: None = None
    guided_grammar: None = None
    structured_outputs: None = None
    logits_processors: Nothing | None = None
    return_tokens_as_token_ids: Literal[False] | None = None
    return_token_ids: Literal[False] | None = None
    priority: Annotated[int, AsInteger] | None = None
    request_id: str | None = None
    cache_salt: str | None = None
    include_reasoning: bool | None = None
    thinking_token_budget: None = None
    repetition_detection: None = None
    media_io_kwargs: NoFields | None = None
    kv_transfer_params: None = None
    vllm_xargs: None = None

    # SGLang
    input_ids: None = None
    custom_logit_processor: None = None
    custom_params: None = None
    data_parallel_rank: None = None
    extra_key: None = None
    separate_reasoning: bool | None = None
    stream_reasoning: bool | None = None
    regex: None = None
    ebnf: None = None
    json_schema: None = None
    no_stop_trim: Literal[False] | None = None
    stop_regex: Nothing | None = None
    lora_path: None = None
    session_params: None = None
    return_hidden_states: Literal[False] | None = None
    rid: str | None = None

    # llama-server and LM Studio
    cache_prompt: bool | None = None
    n_predict: Annotated[int, Field(ge=-1, le=-1), AsInteger] | None = None
    n_probs: Annotated[int, Field(ge=0, le=0), AsInteger] | None = None
    id_slot: Annotated[int, AsInteger] | None = None
    typical_p: float | None = None
    tfs_z: float | None = None
    mirostat: Annotated[int, AsInteger] | None = None
    repeat_penalty: float | None = None
    repeat_last_n: Annotated[int, AsInteger] | None = None
    dynatemp_range: float | None = None
    dynatemp_exponent: float | None = None
    xtc_probability: float | None = None
    xtc_threshold: float | None = None
    dry_multiplier: float | None = None
    dry_base: float | None = None
    dry_allowed_length: Annotated[int, AsInteger] | None = None
    dry_penalty_last_n: Annotated[int, AsInteger] | None = None
    dry_sequence_breakers: list[str] | None = None
    n_keep: Annotated[int, AsInteger] | None = None
    min_keep: Annotated[int, AsInteger] | None = None
    post_sampling_probs: Literal[False] | None = None
    draft_model: None = None
    samplers: Any = None
    grammar: Literal[""] | None = None
    reasoning_format: str | None = None
    timings_per_token: Literal[False] | None = None
    return_progress: Literal[False] | None = None
    ttl: Annotated[int, AsInteger] | None = None

    # Ollama's /v1, OpenRouter and LiteLLM
    keep_alive: Any = None
    think: Any = None
    thinking: Any = None
    reasoning: Any = None
    provider: Any = None
    cache_control: Any = None
    usage: Any = None
    route: Any = None
    transforms: Nothing | None = None
    models: Nothing | None = None
    plugins: Nothing | None = None

    # Qwen's own cloud, and Mistral's
    enable_thinking: bool | None = None
    thinking_budget: Annotated[int, AsInteger] | None = None
    safe_prompt: Literal[False] | None = None
    random_seed: Annotated[int, AsInteger] | None = None
