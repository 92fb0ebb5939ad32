"""Serving: its own process, which answers with what is promoted.

From the top down: `main` starts it, `routes` are what is asked over HTTP, `process` is what the process holds,
`runtime` answers (batches of texts, a decoder's queue, the answer cache), `versions` brings versions into memory and
switches them, `watch` records what was answered (drift, history, metrics). Reconciling stands in `versions` and not in
`watch`: it loads models, and what is watched must know nothing of how they came here.
"""
