"""Re-drives: bring dead letters and failed work back once their cause is mended."""
