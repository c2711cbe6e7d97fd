"""What `edgeguard doctor` finds out: what is installed, what llama.cpp uses, and what is wrong.

Reading order: problems, environment, native, fit, report. Nothing here requires that llama_cpp,
numpy or huggingface_hub can be imported: people ask for a diagnosis when they cannot.
"""
