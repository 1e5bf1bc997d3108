"""Plans the checks, drives devices side by side, collects traces, asks the judges."""
