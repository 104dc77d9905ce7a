"""The paper's evaluation, scores and peers; what it shares with the benchmarks."""
