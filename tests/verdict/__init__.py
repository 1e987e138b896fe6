"""The counter-audit of the verdict: hostile projects, composed at random, and a recount that shares no code with T8."""
