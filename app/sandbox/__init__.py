"""Run untrusted JavaScript in locked-down processes; knows nothing of the rest of the app."""
