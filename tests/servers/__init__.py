"""Parts on a real Valkey and a real S3 server of each test process; trainings and worker processes too."""
