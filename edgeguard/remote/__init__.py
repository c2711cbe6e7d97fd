"""A guard model that a server elsewhere computes: vLLM, SGLang or llama-server.

    address        where it is, and the key to it
    connection     JSON there and back; what can go wrong on the way is an error
    next_token     what a server says of the next token, held against what it must be
    server         what is common to the three kinds
    vllm, sglang, llama_server    how each of them is asked, and what it answers
    served         which server it is, and which model it serves
    session        a session like llama.cpp's, so that everything above it is the same
    start          from an address to a model that can be asked, or the reason why it cannot

The question goes out as our own token ids, and what comes back is how likely the tokens are that
may follow. The answer is decided here (edgeguard.decoder), as it is with a model of this process:
no server's template, grammar or sampler has a part in it.
"""
