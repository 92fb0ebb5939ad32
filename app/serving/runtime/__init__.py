"""Answering: texts that share a run, decoders with a queue each, answers that are cached."""
