"""Tests: unit (no server), engine (real Valkey and S3), flow (end to end), docs."""
