"""Campaigns, leaderboards and benches of systems: research with Bedside, beside the package and not in its wheel."""
