"""What tests share: small agents, tiny models and decoders, rows, versions to serve, worker processes."""
